/** A client chooses the name of its program, and an administrator reads it in the list of all grants. */
import { execFile, spawn } from 'node:child_process';
import { copyFileSync, linkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { listenTo } from '../tools/said.js';
import { noPrivilege, ROOT, startDaemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

const MAIN = join(ROOT, 'dist/cli/main.js');

privileged('a program named like a line of another user adds no line to the grants', async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const program = join(daemon.directory, 'x\nfeed 0 1 ok');
  try {
    linkSync(process.execPath, program);
  } catch {
    copyFileSync(process.execPath, program); // on another file system
  }
  const env = { ...process.env, PERFBROKER_SOCKET: daemon.socket };
  const follower = spawn(process.execPath, [MAIN, 'grants', '--all', '--follow'], { env });
  const changes = listenTo(follower, 'stdout');
  t.teardown(() => follower.kill());
  await changes.match(/^No grants\.$/m);
  const holder = spawn(program, [MAIN, 'stat', '-p', String(process.pid)], { env, stdio: 'ignore' });
  t.teardown(() => holder.kill());
  await changes.match(/^added: .*\n/m);
  t.regex(changes.text(), /^No grants\.\nadded: [^\n]*x\\u\{000a\}feed 0 1 ok\]?: [^\n]*\n$/);
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'grants', '--all'], { env });
  t.regex(stdout, /^grant [^\n]*\n[0-9a-f]+ [^\n]*x\\u\{000a\}feed 0 1 ok\]?\n$/);
});
