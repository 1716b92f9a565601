import test from 'ava';
import { downgradedText } from '#dist/cli/downgraded_text.js';
import type { DowngradedProcess } from '#dist/client/index.js';

const NONE = '0000000000000000';
/** CAP_SYS_ADMIN (21) and CAP_PERFMON (38). */
const BOTH = '0000004000200000';

function sets(permitted: string) {
  return { permitted, effective: permitted, inheritable: NONE, ambient: NONE, bounding: BOTH };
}

function processOf(...tids: number[]): DowngradedProcess {
  return {
    pid: 10,
    executable: '/bin/server',
    stoppedMicroseconds: 1234,
    threads: tids.map((tid) => ({
      tid,
      name: 'server',
      had: sets(BOTH),
      has: sets(NONE),
      noNewPrivs: true,
    })),
  } as unknown as DowngradedProcess;
}

test('threads that lost the same capabilities share a line', (t) => {
  const text = downgradedText([processOf(10, 11, 12)], false);
  t.regex(text, /^10 \/bin\/server: 3 threads, stopped for 1\.23 ms\n {2}3 threads +lost +CAP_\w+,CAP_\w+ /);
  t.regex(text, /and has no_new_privs and no capability left\n$/);
});

test('a dry run prints the capabilities that would be lost, and names a single thread', (t) => {
  const text = downgradedText([processOf(10)], true);
  t.regex(text, /^10 \/bin\/server: 1 thread\n {2}thread 10 \(server\) +would lose /);
});

test('names of a process and a thread cannot add a line', (t) => {
  const forged = { ...processOf(10), executable: 'x\nfeed 0 1 ok' };
  const text = downgradedText(
    [{ ...forged, threads: forged.threads.map((each) => ({ ...each, name: 'y\n1 /z' })) }],
    false,
  );
  t.is(text.split('\n').length, 3, text);
  t.regex(text, /^10 x\\u\{000a\}feed 0 1 ok: .*\n.*\(y\\u\{000a\}1 \/z\)/);
});
