/** The broker's memory, for processes of its own uid. perfbroker makes none; a fault elsewhere might. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { noPrivilege, skip, startDaemon } from './daemon.js';
import { listenTo } from '../tools/said.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

/** Real uid and gid. */
function idsOf(pid: number): { readonly uid: number; readonly gid: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const id = (name: string): number => Number(new RegExp(`^${name}:\\t(\\d+)`, 'm').exec(status)?.[1]);
  return { uid: id('Uid'), gid: id('Gid') };
}

function asBroker({ uid, gid }: ReturnType<typeof idsOf>, ...command: readonly string[]): readonly string[] {
  return [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs', '--inh-caps=-all', ...command];
}

/** Redirections by which a shell opens each file. */
const FILES = ['3<>mem', '3<mem', '3<maps', '3<environ', '3<fd/0'] as const;

privileged("a process of the broker's own uid can neither read nor write its memory", async (t) => {
  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const ids = idsOf(daemon.parts.broker);
  /** Error text when the file cannot be opened, else nothing. */
  const refusal = (pid: number, file: string): string =>
    spawnSync('setpriv', asBroker(ids, 'sh', '-c', `cd /proc/${pid} && exec ${file}`), { encoding: 'utf8' }).stderr;

  // The same of a process that is dumpable, or something else would be shown, like Yama.
  const control = spawn('setpriv', asBroker(ids, 'sh', '-c', 'echo here; exec sleep 60'), {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.teardown(() => control.kill('SIGKILL'));
  await listenTo(control, 'stdout').match(/here/);
  const forbidden = FILES.map((file) => refusal(control.pid!, file)).find((text) => text !== '');
  if (forbidden !== undefined) return skip(t, `a process of the same uid is out of reach anyway: ${forbidden}`);

  for (const file of FILES) t.regex(refusal(daemon.parts.broker, file), /Permission denied/, file);
});
