/** The client of docs/protocol.md, as it stands there, against a real daemon; and what the audit log says of it. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ALICE, BOB } from '../e2e/as_user.js';
import { noPrivilege, startDaemon, type Daemon } from '../e2e/daemon.js';
import { startBusy } from '../e2e/target.js';
import { blocks, read } from './documents.js';

let daemon: Daemon | undefined;

const reason =
  noPrivilege() ??
  (runAsAlice(['-c', 'import os, socket; socket.send_fds; os.pidfd_open']).status === 0
    ? null
    : 'needs python3 of at least 3.9 that every user may execute');
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

let program: string;
test.serial.before(async () => {
  if (reason !== null) return;
  daemon = await startDaemon();
  program = join(daemon.directory, 'client.py');
  writeFileSync(program, blocks(read('docs/protocol.md'), 'python')[0] ?? '');
});
test.serial.after.always(async () => {
  await daemon?.stop();
});

function runAsAlice(
  args: readonly string[],
  limit = '-l 64',
): { status: number | null; stdout: string; stderr: string } {
  // The system's own: other users cannot execute one in a home directory.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', PERFBROKER_SOCKET: daemon?.socket ?? '' };
  return spawnSync('sh', ['-c', `ulimit ${limit}; exec python3 "$@"`, 'sh', ...args], {
    uid: ALICE,
    gid: ALICE,
    cwd: '/',
    env,
    encoding: 'utf8',
    timeout: 30_000,
  });
}

privileged(
  'the Python client counts and samples a process of its user, without locked memory of its own',
  async (t) => {
    const victim = await startBusy(ALICE);
    t.teardown(() => victim.end());
    const { status, stdout, stderr } = runAsAlice([program, String(victim.pid), '0.5'], '-l 0');
    t.is(status, 0, stderr);
    const [, nanoseconds, samples, gaps] = /^task-clock (\d+) ns, (\d+) samples, (\d+) gaps\n$/.exec(stdout) ?? [];
    t.true(Number(nanoseconds) > 20e6 && Number(nanoseconds) < 2e9, stdout);
    // One for each millisecond that was counted; the two are enabled one after the other.
    const ratio = (Number(samples) * 1e6) / Number(nanoseconds);
    t.true(ratio > 0.5 && ratio < 1.5, stdout);
    t.is(gaps, '0');
  },
);

privileged("the error for the Python client says why it may not observe another user's process", async (t) => {
  const victim = await startBusy(BOB);
  t.teardown(() => victim.end());
  const { status, stdout, stderr } = runAsAlice([program, String(victim.pid), '0.1']);
  t.is(status, 1);
  t.is(stdout, '');
  t.regex(stderr, /org\.perfbroker\.Broker\.(PolicyDenied|CeilingExceeded).*'remedy'/);
});

privileged('the audit log has the fields that docs/privilege-separation.md names', async (t) => {
  const victim = await startBusy(ALICE);
  t.teardown(() => victim.end());
  t.is(runAsAlice([program, String(victim.pid), '0.01']).status, 0);
  const lines = daemon!.audit();
  const [, section = ''] = read('docs/privilege-separation.md').text.split('\n## The audit log\n');
  const rows = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| (`.*?`) +\| ([\w ,]+?) +\|/gm)].map(
    ([, fields = '', where = '']) => ({ fields: fields.replaceAll('`', '').split(', '), where: where.split(', ') }),
  );
  const documented = (action: string, verdict: string): string[] =>
    rows.flatMap(({ fields, where }) =>
      ['all', action, `${action} ${verdict}`].some((place) => where.includes(place)) ? fields : [],
    );
  /** Absent where there is nothing to say; the document has it. */
  const mayBeAbsent = ['rule', 'authorized', 'busName', 'notYetDisabled'];
  for (const [action, verdict] of [
    ['open', 'allow'],
    ['open', 'deny'],
    ['end', 'allow'],
  ] as const) {
    const fields = documented(action, verdict);
    const found = lines.filter((line) => line['action'] === action && line['verdict'] === verdict);
    t.true(found.length > 0, `${action} ${verdict}`);
    for (const line of found) {
      const keys = Object.keys(line);
      t.deepEqual(
        keys.filter((key) => !fields.includes(key)),
        [],
      );
      t.deepEqual(
        fields.filter((field) => !keys.includes(field) && !mayBeAbsent.includes(field)),
        [],
      );
    }
  }
});
