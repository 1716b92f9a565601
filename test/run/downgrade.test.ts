/** Privileges that `perfbroker run` takes from CMD, and that CMD cannot regain. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { startDaemon, type Daemon } from '../e2e/daemon.js';
import { compileTools, type CompiledTools } from '../tools/compile.js';
import {
  ALICE,
  CAP,
  NO_BROKER,
  capabilitySets,
  end,
  launcher,
  run,
  unfit,
  userDirectory,
  type Ended,
  type Setting,
} from './support.js';

const reason =
  unfit() ??
  (spawnSync('capsh', ['--version']).error !== undefined || spawnSync('setpriv', ['--version']).error !== undefined
    ? 'there is no capsh or setpriv'
    : null);
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
let tools: CompiledTools;
let kernelEvent: string;
const directory = reason === null ? userDirectory(ALICE) : { path: '', remove: () => undefined };
test.serial.before(async () => {
  if (reason !== null) return;
  daemon = await startDaemon();
  tools = compileTools('kernel_event');
  kernelEvent = join(directory.path, 'kernel_event');
  copyFileSync(tools.path('kernel_event'), kernelEvent);
});
test.after.always(async () => {
  await daemon?.stop();
  tools?.remove();
  directory.remove();
});

const asRoot = (): Setting => ({ cwd: directory.path, socket: daemon.socket });
const asUser = (): Setting => ({ uid: ALICE, cwd: directory.path, socket: daemon.socket });
/** Alice with one capability, as a systemd unit gives it. */
const withPerfmon = (): Setting => ({
  cwd: directory.path,
  socket: NO_BROKER,
  before: [
    ...['setpriv', '--reuid', String(ALICE), '--regid', String(ALICE), '--clear-groups'],
    ...['--inh-caps', '+perfmon', '--ambient-caps', '+perfmon'],
  ],
});
/** Root without the capability to change its bounding set. */
const withoutSetpcap = (): Setting => ({
  ...asRoot(),
  before: ['capsh', '--drop=cap_setpcap', '--', '-c', 'exec "$@"', 'sh'],
});

const own = reason === null ? capabilitySets(readFileSync('/proc/self/status', 'utf8')) : {};
const SETS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];
const STRICT = Number(readFileSync('/proc/sys/kernel/perf_event_paranoid', 'utf8')) >= 2;

/** CMD executes a shell that executes another one: the sets are those of a program's program. */
function status(setting: Setting, ...options: readonly string[]): Promise<Ended> {
  const script = 'exec sh -c "cat /proc/self/status; true"';
  return run(setting, '-o', join(directory.path, 'status.data'), ...options, 'sh', '-c', script);
}

real("root's command lacks CAP_PERFMON and CAP_SYS_ADMIN in all five sets, and keeps the rest", async (t) => {
  const { stdout, stderr } = await status(asRoot(), '--verify');
  t.regex(stderr, / samples?,/);
  const sets = capabilitySets(stdout);
  for (const set of SETS) {
    t.is(sets[set], own[set]! & ~(CAP.perfmon | CAP.sysAdmin), set);
    t.not(own['CapPrm']! & CAP.sysAdmin, 0n, 'there was something to lose');
  }
  t.regex(stdout, /^NoNewPrivs:\t0$/m);
});

real('--drop removes more capabilities, --keep leaves some, and both accept names in any form', async (t) => {
  const bounding = async (...options: readonly string[]): Promise<bigint> =>
    capabilitySets((await status(asRoot(), '--verify', ...options)).stdout)['CapPrm']!;
  const both = CAP.perfmon | CAP.sysAdmin;
  t.is(await bounding('--drop', 'cap_net_raw,SETPCAP'), own['CapPrm']! & ~(both | CAP.netRaw | CAP.setpcap));
  t.is(await bounding('--keep', 'all'), own['CapPrm']!);
  t.is(await bounding('--keep=CAP_SYS_ADMIN'), own['CapPrm']! & ~CAP.perfmon);
  t.is(await bounding('--drop', 'all', '--keep', 'net_raw'), CAP.netRaw);
  t.is(await bounding('--drop', 'all'), 0n);
});

real('capsh in the command confirms the removed capabilities', async (t) => {
  const { stdout } = await run(asRoot(), '--drop', 'all', 'capsh', '--print');
  t.regex(stdout, /^Current: =\s*$/m);
  t.regex(stdout, /^Bounding set =\s*$/m);
});

real('with --lock uid 0 gives no privilege, even after another exec', async (t) => {
  const { stdout, stderr } = await status(asRoot(), '--lock', '--verify');
  t.regex(stderr, / samples?,/);
  const sets = capabilitySets(stdout);
  t.is(sets['CapAmb'], own['CapPrm']! & ~(CAP.perfmon | CAP.sysAdmin));
  const bits = await run(asRoot(), '--lock', 'capsh', '--print');
  t.regex(bits.stdout, /secure-noroot: yes \(locked\)/);
  t.regex(bits.stdout, /secure-no-ambient-raise: yes \(locked\)/);
  const bare = await status(asRoot(), '--lock', '--drop', 'all', '--verify');
  t.is(capabilitySets(bare.stdout)['CapPrm'], 0n);
});

real('samples are taken under every kind of downgrade', async (t) => {
  const busy = 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done';
  for (const options of [['--lock'], ['--no-new-privs'], ['--drop', 'all'], ['--keep', 'all']])
    for (const setting of [asRoot(), { ...asRoot(), socket: NO_BROKER }]) {
      const { stderr } = await run(setting, '-o', join(directory.path, 'x.data'), ...options, 'sh', '-c', busy);
      t.regex(stderr, /: [1-9]\d* samples?/, options.join(' '));
    }
});

real(
  'a second perf_event_open in kernel mode is refused in the command where the strict setting applies',
  async (t) => {
    if (!STRICT) return void t.pass('skipped: kernel.perf_event_paranoid is below 2');
    t.regex((await end(asRoot(), kernelEvent)).stdout, /kernel event: 0/);
    t.regex((await run(asRoot(), kernelEvent)).stdout, /kernel event: EACCES/);
    t.regex((await run(withPerfmon(), '--keep', 'all', kernelEvent)).stdout, /kernel event: 0/);
    t.regex((await run(withPerfmon(), kernelEvent)).stdout, /kernel event: EACCES/);
  },
);

real('where the bounding set cannot be changed, no_new_privs prevents the capabilities from coming back', async (t) => {
  for (const setting of [withoutSetpcap(), withPerfmon()]) {
    const { stdout, stderr } = await status(setting, '--verify');
    t.regex(stderr, /^perfbroker: CAP_SETPCAP is missing, so no_new_privs keeps /m);
    t.regex(stdout, /^NoNewPrivs:\t1$/m);
    const sets = capabilitySets(stdout);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      t.is(sets[set]! & (CAP.perfmon | CAP.sysAdmin), 0n, set);
    t.not(sets['CapBnd']! & CAP.perfmon, 0n, 'otherwise this test shows nothing');
  }
  // It holds against a setuid program too.
  const setuid = join(directory.path, 'setuid_cat');
  copyFileSync('/bin/cat', setuid);
  chmodSync(setuid, 0o4755);
  const { stdout } = await run(withPerfmon(), '--drop', 'all', setuid, '/proc/self/status');
  t.is(capabilitySets(stdout)['CapPrm'], 0n);
});

real('a user without capabilities keeps sudo and the like, until --no-new-privs', async (t) => {
  const setuid = join(directory.path, 'user_cat');
  copyFileSync('/bin/cat', setuid);
  chmodSync(setuid, 0o4755);
  const options = ['-o', join(directory.path, 'user.data')];
  const bare = await run(asUser(), ...options, setuid, '/proc/self/status');
  t.not(capabilitySets(bare.stdout)['CapPrm'], 0n);
  t.notRegex(bare.stderr, /no_new_privs/);
  const sealed = await run(asUser(), ...options, '--no-new-privs', setuid, '/proc/self/status');
  t.is(capabilitySets(sealed.stdout)['CapPrm'], 0n);
  t.regex(sealed.stdout, /^NoNewPrivs:\t1$/m);
});

real('--verify refuses to run a command that could regain the capability from a setuid program', async (t) => {
  const refused = await run(asUser(), '--verify', 'echo', 'ran');
  t.is(refused.code, 125);
  t.is(refused.stdout, '');
  t.regex(refused.stderr, /^perfbroker: --verify: echo was not run: CAP_\w+ is still in the bounding set/);
  const allowed = await run(asUser(), '--verify', '--no-new-privs', 'echo', 'ran');
  t.is(allowed.stdout, 'ran\n');
});

real('a downgrade that fails keeps the command from running', async (t) => {
  for (const setting of [withoutSetpcap(), asUser()]) {
    const { code, stdout, stderr } = await run(setting, '--lock', 'echo', 'ran');
    t.is(code, 125);
    t.is(stdout, '');
    t.regex(stderr, /^perfbroker: the downgrade failed, so echo was not run: --lock .* CAP_SETPCAP$/m);
  }
});

real('the downgrade happens even when nothing can be recorded', async (t) => {
  const setting = { ...asRoot(), socket: NO_BROKER };
  const options = ['-o', '/nonexistent/file', '--verify'];
  const { stdout, stderr } = await end(setting, launcher(), 'run', ...options, 'cat', '/proc/self/status');
  t.regex(stderr, /runs unprofiled/);
  t.is(capabilitySets(stdout)['CapPrm'], own['CapPrm']! & ~(CAP.perfmon | CAP.sysAdmin));
});
