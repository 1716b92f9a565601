import test from 'ava';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { brokerAccount, obstacleFor, permits } from '#dist/policy/check/broker_access.js';
import { directory, write } from '../files.js';

test("the broker's user is found by its name, else it has the daemon's fallback id", (t) => {
  const none = (): undefined => undefined;
  t.deepEqual(brokerAccount({ user: none, group: () => 7 }), { uid: 60910, gid: 60910 });
  t.deepEqual(brokerAccount({ user: () => 990, group: () => 991 }), { uid: 990, gid: 991 });
  t.deepEqual(brokerAccount({ user: () => 990, group: none }), { uid: 990, gid: 990 });
});

test('permission bits are those of the owner, else of the group, else of others', (t) => {
  const account = { uid: 10, gid: 20 };
  for (const [uid, gid, mode, read, search] of [
    [10, 0, 0o400, true, false],
    [10, 20, 0o077, false, false],
    [0, 20, 0o010, false, true],
    [0, 20, 0o707, false, false],
    [0, 0, 0o005, true, true],
  ] as const) {
    t.is(permits({ uid, gid, mode }, account, 'read'), read);
    t.is(permits({ uid, gid, mode }, account, 'search'), search);
  }
});

test('the obstacle is the first directory that cannot be searched, else the file', (t) => {
  const root = directory(t);
  const path = write(root, 'inner/policy.toml', 'a = 1\n');
  const find = obstacleFor({ uid: 60910, gid: 60910 });
  t.is(find(path), undefined);
  chmodSync(path, 0o600);
  t.like(find(path), { file: path, message: "the broker's user (uid 60910) cannot read it" });
  chmodSync(join(root, 'inner'), 0o700);
  t.like(find(path), {
    file: join(root, 'inner'),
    message: "the broker's user (uid 60910) cannot search the directory",
  });
  chmodSync(root, 0o700);
  t.is(find(path)?.file, root);
});
