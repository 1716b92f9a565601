/** The file of `perfbroker run -o`: nothing of its user's is lost for a command that cannot be executed, and root is led nowhere. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startDaemon, type Daemon } from '../e2e/daemon.js';
import { listenTo } from '../tools/said.js';
import { ALICE, NO_BROKER, readRecording, run, unfit, userDirectory, type Setting } from './support.js';

const reason = unfit();
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon();
});
test.after.always(async () => {
  await daemon?.stop();
});

const SUDO = { SUDO_UID: String(ALICE), SUDO_GID: String(ALICE) };

function directoryOf(t: ExecutionContext, uid: number): string {
  const { path, remove } = userDirectory(uid);
  t.teardown(remove);
  return path;
}

/** Root alone, who opens the events itself. */
const rootIn = (cwd: string): Setting => ({ cwd, socket: NO_BROKER });

const contents = (directory: string): Readonly<Record<string, string>> =>
  Object.fromEntries(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]));

const runners: readonly (readonly [string, number, (cwd: string) => Setting])[] = [
  ['a user', ALICE, (cwd) => ({ uid: ALICE, cwd, socket: daemon.socket })],
  ['root, by the broker', 0, (cwd) => ({ cwd, socket: daemon.socket })],
  ['root alone', 0, rootIn],
  ['root through sudo', ALICE, (cwd) => ({ ...rootIn(cwd), env: SUDO })],
];
for (const [who, owner, setting] of runners) {
  real(`a command that cannot be executed costs ${who} no older file, and leaves no other`, async (t) => {
    const cwd = directoryOf(t, owner);
    const files = { 'x.data': 'new', 'x.data.old': 'old', 'x.folded': 'new', 'x.folded.old': 'old' };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
    for (const [output, command, exitCode] of [
      ['x.data', '/nonexistent/command', 127],
      ['x.data', '/etc/passwd', 126],
      ['x.folded', '/nonexistent/command', 127],
      ['none.data', '/nonexistent/command', 127],
    ] as const) {
      const { code, stderr } = await run(setting(cwd), '--require', '-o', output, command);
      t.is(code, exitCode, stderr);
    }
    t.deepEqual(contents(cwd), files);
  });
}

/** A directory of Alice's with links into one of root's, which is not to be reached through them. */
function trap(t: ExecutionContext): { alices: string; roots: string } {
  const [alices, roots] = [directoryOf(t, ALICE), directoryOf(t, 0)];
  writeFileSync(join(roots, 'x.data'), 'precious');
  return { alices, roots };
}

function link(target: string, path: string, owner: number): void {
  symlinkSync(target, path);
  lchownSync(path, owner, owner);
}

real('root follows no symbolic link to a directory that another user could have made', async (t) => {
  const { alices, roots } = trap(t);
  const sticky = directoryOf(t, 0);
  chmodSync(sticky, 0o1777);
  link(roots, join(alices, 'by-alice'), ALICE);
  // Alice can give it another name, or another target by way of its directory's.
  link(roots, join(alices, 'by-root'), 0);
  link(roots, join(sticky, 'by-alice'), ALICE);
  link(alices, join(roots, 'to-alice'), 0);
  for (const place of [
    join(alices, 'by-alice'),
    join(alices, 'by-root'),
    join(sticky, 'by-alice'),
    join(roots, 'to-alice', 'by-alice'),
  ]) {
    for (const output of [join(place, 'x.data'), join(place, 'x.folded')]) {
      const { code, stdout, stderr } = await run(rootIn(alices), '--require', '-o', output, 'echo', 'ran');
      t.is(code, 125, output);
      t.is(stdout, '');
      t.regex(stderr, /cannot be created: ELOOP\n.*a symbolic link in the path that another user could have created/);
    }
  }
  t.deepEqual(readdirSync(roots).sort(), ['to-alice', 'x.data']);
  t.is(readFileSync(join(roots, 'x.data'), 'utf8'), 'precious');
});

real('root follows links that root alone can have made, and writes to directories of others', async (t) => {
  const { alices, roots } = trap(t);
  const sticky = directoryOf(t, 0);
  chmodSync(sticky, 0o1777);
  mkdirSync(join(roots, 'deep'));
  link('deep/../deep//', join(roots, 'relative'), 0);
  link(join(roots, 'relative'), join(sticky, 'absolute'), 0);
  for (const [output, place] of [
    [join(sticky, 'absolute', 'y.data'), join(roots, 'deep', 'y.data')],
    [join(alices, 'y.data'), join(alices, 'y.data')],
    [join(sticky, 'y.data'), join(sticky, 'y.data')],
    ['./deep/../z.data', join(roots, 'z.data')],
  ] as const) {
    const { stderr } = await run(rootIn(roots), '--require', '-o', output, 'true');
    t.regex(stderr, /: \d+ samples?,/);
    t.true(readRecording(place).finished);
    t.is(lstatSync(place).uid, 0);
  }
});

real('a link that was planted as FILE.old is replaced, and its target is left alone', async (t) => {
  const { alices, roots } = trap(t);
  writeFileSync(join(alices, 'x.data'), 'older');
  link(join(roots, 'x.data'), join(alices, 'x.data.old'), ALICE);
  const { stderr } = await run(rootIn(alices), '--require', '-o', 'x.data', 'true');
  t.regex(stderr, /^x\.data: /);
  t.is(readFileSync(join(roots, 'x.data'), 'utf8'), 'precious');
  t.true(lstatSync(join(alices, 'x.data.old')).isFile());
  t.is(readFileSync(join(alices, 'x.data.old'), 'utf8'), 'older');
});

/** Puts a link in the place of a directory and the directory back, until its standard input ends; for 60 s at most. */
const SWAPPER = `
import os, select, sys, time
os.setresgid(${ALICE}, ${ALICE}, ${ALICE})
os.setresuid(${ALICE}, ${ALICE}, ${ALICE})
os.chdir(sys.argv[1])
end = time.monotonic() + 60
print('swaps', flush=True)
while time.monotonic() < end and not select.select([0], [], [], 0)[0]:
    for _ in range(100):
        for old, new in (('place', 'aside'), ('link', 'place'), ('place', 'link'), ('aside', 'place')): os.rename(old, new)
`;

real('a directory that becomes a link while root creates its file there leads root nowhere else', async (t) => {
  const { alices, roots } = trap(t);
  const place = join(alices, 'place');
  mkdirSync(place);
  chmodSync(place, 0o777);
  link(roots, join(alices, 'link'), ALICE);
  lchownSync(place, ALICE, ALICE);
  const swapper = spawn('python3', ['-c', SWAPPER, alices], { stdio: ['pipe', 'pipe', 'inherit'] });
  const closed = once(swapper, 'close');
  try {
    await listenTo(swapper, 'stdout').match(/swaps/);
    for (let tries = 0; tries < 5; tries++)
      t.is((await run(rootIn(alices), '-o', join(place, 'x.data'), 'true')).code, 0);
  } finally {
    swapper.stdin.end();
    await closed;
  }
  t.deepEqual(contents(roots), { 'x.data': 'precious' });
  rmSync(place, { recursive: true });
});
