import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const CHILD = fileURLToPath(new URL('./too_many_references_child.js', import.meta.url));

// The kernel counts fds in flight for each user; root is exempt, so this takes a user of its own.
test('a message that the kernel refuses for too many fds in flight waits until there is room', (t) => {
  if (process.getuid?.() !== 0) {
    t.log('skipped: needs root, to become another user');
    t.pass();
    return;
  }
  const output = execFileSync('/bin/sh', ['-c', 'ulimit -n 64; exec "$0" "$1"', process.execPath, CHILD], {
    uid: 60_131,
    gid: 60_131,
    encoding: 'utf8',
    timeout: 20_000,
    env: {},
  });
  t.deepEqual(output.trim().split('\n'), ['ETOOMANYREFS', 'true null null', `${'{"late":true}'.length + 1} 1`]);
});
