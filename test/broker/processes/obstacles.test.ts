import test from 'ava';
import { accessObstacles } from '#dist/broker/processes/obstacles.js';
import type { ProcessTarget } from '#dist/broker/processes/targets.js';
import type { Subject } from '#dist/model/identity/subject.js';
import { subject } from '../../policy/fixtures.js';

const target = (sameUserNamespace = true): ProcessTarget =>
  ({ kind: 'process', process: { sameUserNamespace } }) as unknown as ProcessTarget;

test('obstacles of the target are reported as they are', (t) => {
  t.deepEqual(accessObstacles(['uid', 'capabilities'], subject({}), target()), ['uid', 'capabilities']);
  t.deepEqual(accessObstacles([], subject({ dumpable: false }), target()), []);
});

test('another user namespace of the client or of the target is reported', (t) => {
  const reported = ['user-namespace'] as const;
  t.deepEqual(accessObstacles(reported, subject({ sameUserNamespace: false }), target()), reported);
  t.deepEqual(accessObstacles(reported, subject({}), target(false)), reported);
});

test('a client that the opener did not examine is named with the reason, and keeps its other obstacles', (t) => {
  const reported = ['uid', 'capabilities', 'user-namespace'] as const;
  const of = (client: Subject): readonly string[] => accessObstacles(reported, client, target());
  t.deepEqual(of(subject({ dumpable: false })), ['uid', 'the caller is not dumpable']);
  t.deepEqual(of(subject({ ownIds: false })), ['uid', 'the caller changed its ids after it connected']);
  t.deepEqual(of(subject({})), ['uid', 'the caller was not identified']);
});
