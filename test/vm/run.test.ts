/** test/vm/run boots a guest that failed once more. A script stands in for qemu and prints the verdicts of each boot. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const ROOT = new URL('../../../', import.meta.url).pathname;

/** Prints the verdicts of the boot that comes next, from a file named after the guest's folder and that boot. */
const QEMU = `#!/bin/sh
for argument; do
  case $argument in file:*) console=\${argument#file:} ;; esac
done
echo "the console" >"$console"
logs=\${console%/console.log}
. "$SCRIPTED/\${logs##*/vm/}"
`;

/** Stands in for timeout(1): a boot that exits with 42 took too long. */
const TIMEOUT = `#!/bin/sh
shift 4
"$@"
status=$?
[ $status != 42 ] || exit 124
exit $status
`;

interface Outcome {
  readonly status: number | null;
  readonly lines: readonly string[];
  readonly log: (path: string) => string;
}

/** @param boots shell commands by `GUEST-FOLDER/first` or `GUEST-FOLDER/second` */
function runGuests(t: ExecutionContext, guests: readonly string[], boots: Readonly<Record<string, string>>): Outcome {
  const tree = mkdtempSync(join(tmpdir(), 'perfbroker-vm-'));
  t.teardown(() => rmSync(tree, { recursive: true, force: true }));
  const put = (path: string, text: string): void => {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), text, { mode: 0o755 });
  };
  const build = 'mkdir -p build/vm/$1 build/vm/$1-systemd; echo 6.1 >build/vm/$1/kernel\n';
  for (const path of ['test/vm/build', 'test/vm/systemd/image', 'test/vm/systemd/payload', 'scripts/have'])
    put(path, `#!/bin/sh\n${path === 'scripts/have' || path.endsWith('payload') ? '' : build}`);
  cpSync(join(ROOT, 'test/vm/run'), join(tree, 'test/vm/run'));
  put('bin/qemu-system-x86_64', QEMU);
  put('bin/timeout', TIMEOUT);
  for (const [boot, commands] of Object.entries(boots)) put(`boots/${boot}`, commands);
  const { status, stdout } = spawnSync(join(tree, 'test/vm/run'), guests, {
    encoding: 'utf8',
    env: {
      PATH: `${join(tree, 'bin')}:${process.env['PATH'] ?? ''}`,
      SCRIPTED: join(tree, 'boots'),
    },
  });
  const lines = stdout.trimEnd().split('\n');
  return {
    status,
    lines,
    log: (path) => (existsSync(join(tree, 'build/vm', path)) ? readFileSync(join(tree, 'build/vm', path), 'utf8') : ''),
  };
}

const PASS = 'echo "ok it records"; echo "exit 0"';
const FAIL = 'echo "ok it counts"; echo "not ok it records"; echo "  # nothing came"; echo "exit 1"';

test('a guest that passes is booted once', (t) => {
  const { status, lines, log } = runGuests(t, ['trixie'], { 'trixie/first': PASS });
  t.is(status, 0);
  t.regex(lines.at(-1) ?? '', /^--- Debian trixie, first boot: 1 ok, 0 not ok, \d+ s$/);
  t.is(log('trixie/second/verdicts'), '');
});

test('a verdict that fails at the first boot alone is named last, and the run passes', (t) => {
  const { status, lines } = runGuests(t, ['trixie', 'bookworm'], {
    'trixie/first': FAIL,
    'trixie/second': PASS,
    'bookworm/first': PASS,
  });
  t.is(status, 0);
  t.is(lines.at(-1), 'flaky: it records failed at the first boot of trixie, passed at the second');
  t.is(lines.filter((line) => line.startsWith('flaky:')).length, 1);
});

test('each verdict that fails first is named, from every guest', (t) => {
  const { status, lines } = runGuests(t, ['trixie', 'systemd'], {
    'trixie/first': `echo "not ok it starts"; ${FAIL}`,
    'trixie/second': PASS,
    'trixie-systemd/first': FAIL,
    'trixie-systemd/second': PASS,
  });
  t.is(status, 0);
  t.deepEqual(lines.slice(-3), [
    'flaky: it starts failed at the first boot of trixie, passed at the second',
    'flaky: it records failed at the first boot of trixie, passed at the second',
    'flaky: it records failed at the first boot of systemd, passed at the second',
  ]);
});

test('the verdicts and the console of both boots are kept', (t) => {
  const { log } = runGuests(t, ['systemd'], { 'trixie-systemd/first': FAIL, 'trixie-systemd/second': PASS });
  t.regex(log('trixie-systemd/first/verdicts'), /^not ok it records$/m);
  t.regex(log('trixie-systemd/second/verdicts'), /^ok it records$/m);
  for (const boot of ['first', 'second']) t.is(log(`trixie-systemd/${boot}/console.log`), 'the console\n');
});

test('a verdict that fails at both boots fails the run', (t) => {
  const { status, lines } = runGuests(t, ['trixie'], { 'trixie/first': FAIL, 'trixie/second': FAIL });
  t.is(status, 1);
  t.is(lines.at(-1), 'failed: it records failed at the second boot of trixie');
  t.false(lines.some((line) => line.startsWith('flaky:')));
});

test('a verdict that fails counts, with any exit status of the guest', (t) => {
  const boot = 'echo "not ok it records"; echo "exit 0"';
  t.is(runGuests(t, ['trixie'], { 'trixie/first': boot, 'trixie/second': boot }).status, 1);
});

test('a guest that dies is booted once more, and then is an exit code of its own', (t) => {
  const died = 'echo "ok it starts"';
  const once = runGuests(t, ['trixie'], { 'trixie/first': died, 'trixie/second': PASS });
  t.is(once.status, 0);
  t.is(once.lines.at(-1), 'flaky: the guest died at the first boot of trixie, passed at the second');
  const twice = runGuests(t, ['trixie'], { 'trixie/first': died, 'trixie/second': died });
  t.is(twice.status, 99);
  t.is(twice.lines.at(-1), 'failed: the guest died at the second boot of trixie');
});

test('a guest that does not end in time is booted once more, and then is an exit code of its own', (t) => {
  const hangs = 'echo "ok it starts"; exit 42';
  const once = runGuests(t, ['trixie'], { 'trixie/first': hangs, 'trixie/second': PASS });
  t.is(once.status, 0);
  t.is(once.lines.at(-1), 'flaky: the guest took more than 1500 s at the first boot of trixie, passed at the second');
  t.is(runGuests(t, ['trixie'], { 'trixie/first': hangs, 'trixie/second': hangs }).status, 124);
});

test('a guest whose checks break off without a verdict fails', (t) => {
  const broken = 'echo "ok it starts"; echo "exit 1"';
  const { status, lines } = runGuests(t, ['trixie'], { 'trixie/first': broken, 'trixie/second': broken });
  t.is(status, 1);
  t.is(lines.at(-1), 'failed: the guest ended with status 1 at the second boot of trixie');
});
