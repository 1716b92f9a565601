import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure } from '#dist/cli/failure.js';
import { RunFiles } from '#dist/cli/run_files.js';
import type { Launcher, LauncherAnswer } from '#dist/collector/launcher/launcher.js';
import type { LauncherRequest } from '#dist/collector/launcher/launcher_protocol.js';

const EACCES = 13;
const EEXIST = 17;

function folder(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-run-files-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** A launcher that leaves the files to this process. */
const OWN = { createsFiles: false, misplaced: 0 } as unknown as Launcher;

/** Root's launcher, which creates files itself: `error` for each of them. */
function rootLauncher(error = 0, misplaced = 0): { launcher: Launcher; asked: string[] } {
  const asked: string[] = [];
  const call = ({ type }: LauncherRequest): Promise<LauncherAnswer> => {
    asked.push(type);
    const fds = error === 0 ? [openSync('/dev/null', 'r+')] : [];
    return Promise.resolve({ reply: { error, value: 0, failed: 0, fdCount: fds.length }, fds });
  };
  return { launcher: { createsFiles: true, misplaced, call } as unknown as Launcher, asked };
}

test('a recording has its name only after it is placed', async (t) => {
  const output = join(folder(t), 'a.data');
  using files = await RunFiles.create(OWN, output, false);
  writeSync(files.data, 'x');
  t.false(existsSync(output));
  files.place();
  closeSync(files.data);
  t.is(readFileSync(output, 'utf8'), 'x');
});

test('a recording that is not placed, or is folded, leaves no file', async (t) => {
  const directory = folder(t);
  for (const folded of [true, false]) {
    const files = await RunFiles.create(OWN, join(directory, 'a'), folded);
    closeSync(files.data);
    t.is(readdirSync(directory).length, folded ? 0 : 1);
    files[Symbol.dispose]();
    t.deepEqual(readdirSync(directory), []);
  }
});

test('the error for a file that cannot be created names the user whose rights were used', async (t) => {
  const directory = folder(t);
  symlinkSync('/etc/passwd', join(directory, 'link'));
  for (const path of [join(directory, 'no/such'), join(directory, 'link'), directory]) {
    const error = await t.throwsAsync(RunFiles.create(OWN, path, false), { instanceOf: Failure });
    t.regex(error.message, /cannot be created/);
  }
  t.deepEqual(readdirSync(directory), ['link']);
});

test("root's launcher creates the recording, or a scratch file and the folded stacks", async (t) => {
  for (const [folded, order] of [
    [false, ['output']],
    [true, ['scratch', 'output']],
  ] as const) {
    const { launcher, asked } = rootLauncher();
    const files = await RunFiles.create(launcher, '/x', folded);
    t.deepEqual(asked, [...order]);
    t.notThrows(() => files.place());
    files[Symbol.dispose]();
    closeSync(files.data);
  }
  await t.throwsAsync(RunFiles.create(rootLauncher(EACCES).launcher, '/x', false), { message: /EACCES/ });
});

test('a name that the launcher could not give is a failure', async (t) => {
  const files = await RunFiles.create(rootLauncher(0, EEXIST).launcher, '/x', false);
  t.throws(() => files.place(), { instanceOf: Failure, message: /cannot be given the name \/x: EEXIST/ });
  files[Symbol.dispose]();
  closeSync(files.data);
});
