import test from 'ava';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSubuid, SHARED_USER, SubordinateUids } from '#dist/model/identity/subordinate_uids.js';

test('a line of subuid(5) lends a range, and any other line lends nothing', (t) => {
  const text = 'alice:100000:65536\n\n# bob:1:1\nbroken\ncarol:-5:10\nalice:x:1\n1000:4294900000:65536 \n:1:2\n';
  t.deepEqual(parseSubuid(text), [
    { borrower: 'alice', first: 100_000, count: 65_536 },
    { borrower: '1000', first: 4_294_900_000, count: 65_536 },
  ]);
  t.deepEqual(parseSubuid(''), []);
});

test('a subordinate uid stands for the user who may use it, and a uid of many users or of none for all such uids', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-subuid-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const files = { subuid: join(directory, 'subuid'), passwd: join(directory, 'passwd') };
  writeFileSync(files.passwd, 'root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n');
  writeFileSync(files.subuid, 'alice:100000:65536\n1001:200000:65536\nbob:100500:1\nmallory:300000:10\n');
  const uids = new SubordinateUids(files);
  uids.load((text) => t.fail(text));
  const userOf = (uid: number, sameUserNamespace = true): number => uids.userOf({ uid, sameUserNamespace });
  t.is(userOf(100_000), 1000);
  t.is(userOf(100_000, false), 1000);
  t.is(userOf(200_001), 1001, 'lent to a number');
  t.is(userOf(100_500), SHARED_USER, 'lent to two');
  t.is(userOf(300_000), SHARED_USER, 'lent to a user without an account');
  t.is(userOf(4711), 4711);
  t.is(userOf(1000, false), 1000, 'in a container of its own');
  t.is(userOf(4711, false), SHARED_USER, 'a uid that a container may have made');
});
