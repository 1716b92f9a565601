/** A command that is started under observation notices nothing of it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { noPrivilege, ROOT, startDaemon, type Daemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;
const run = promisify(execFile);

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon();
});
test.serial.after.always(async () => {
  await daemon?.stop();
});

const FLAGS = 'import fcntl,time; time.sleep(0.3); print([fcntl.fcntl(fd,fcntl.F_GETFL)&0o4000 for fd in (0,1,2)])';

for (const [command, options] of [
  ['stat', []],
  ['record', ['-o', '/dev/null.data']],
] as const) {
  privileged(`the pipes that a command shares with perfbroker ${command} stay blocking`, async (t) => {
    const output = options.map((option) => option.replace('/dev/null', join(daemon.directory, 'out')));
    const { stdout } = await run(
      join(ROOT, 'dist/bin/perfbroker'),
      [command, ...output, '--', 'python3', '-c', FLAGS],
      {
        env: { ...process.env, PERFBROKER_SOCKET: daemon.socket },
      },
    );
    t.is(stdout.trim(), '[0, 0, 0]');
  });
}
