import test from 'ava';
import { sameUserObstacles, type AccessObstacle } from '#dist/model/identity/access.js';
import type { Subject } from '#dist/model/identity/subject.js';
import type { ProcessIdentity } from '#dist/model/identity/target.js';

type Client = Pick<Subject, 'uid' | 'gid' | 'permitted' | 'sameUserNamespace'>;
const CLIENT: Client = { uid: 1000, gid: 100, permitted: 0n, sameUserNamespace: true };
const OWN: ProcessIdentity = {
  pid: 7,
  startTime: 1n,
  uids: [1000, 1000, 1000],
  gids: [100, 100, 100],
  permitted: 0n,
  dumpable: true,
  sameUserNamespace: true,
  executable: '/bin/true',
  cgroup: '/',
};

const meets = test.macro({
  title: (what) => what ?? '',
  exec: (t, client: Partial<Client>, target: Partial<ProcessIdentity>, obstacles: readonly AccessObstacle[]) => {
    t.deepEqual(sameUserObstacles({ ...CLIENT, ...client }, { ...OWN, ...target }), obstacles);
  },
});
test('a client may observe its own process', meets, {}, {}, []);
test("another user's process is out of reach", meets, {}, { uids: [1001, 1001, 1001] }, ['uid']);
test('a differing real uid is an obstacle', meets, {}, { uids: [0, 1000, 1000] }, ['uid']);
test('a differing effective uid is an obstacle', meets, {}, { uids: [1000, 0, 1000] }, ['uid']);
test('a differing saved uid is an obstacle', meets, {}, { uids: [1000, 1000, 0] }, ['uid']);
test('a differing real gid is an obstacle', meets, {}, { gids: [0, 100, 100] }, ['gid']);
test('a differing effective gid is an obstacle', meets, {}, { gids: [100, 0, 100] }, ['gid']);
test('a differing saved gid is an obstacle', meets, {}, { gids: [100, 100, 0] }, ['gid']);
test('a process that is not dumpable is out of reach', meets, {}, { dumpable: false }, ['not-dumpable']);
test('a capability that the client lacks is an obstacle', meets, { permitted: 0b01n }, { permitted: 0b11n }, [
  'capabilities',
]);
test(
  'capabilities that the client also has are not an obstacle',
  meets,
  { permitted: 0b11n },
  { permitted: 0b01n },
  [],
);
test('the target in another user namespace is out of reach', meets, {}, { sameUserNamespace: false }, [
  'user-namespace',
]);
test('a client in another user namespace reaches nothing', meets, { sameUserNamespace: false }, {}, ['user-namespace']);
test(
  'root without matching ids is refused like every user: capabilities do not replace ids',
  meets,
  { uid: 0, gid: 0, permitted: ~0n },
  {},
  ['uid', 'gid'],
);
test(
  'every obstacle is named',
  meets,
  {},
  { uids: [0, 0, 0], gids: [0, 0, 0], dumpable: false, permitted: 1n, sameUserNamespace: false },
  ['uid', 'gid', 'not-dumpable', 'capabilities', 'user-namespace'],
);
