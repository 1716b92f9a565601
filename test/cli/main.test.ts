import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test from 'ava';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'perfbroker-cli-'));
chmodSync(directory, 0o755);
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: directory });
}

/** Runs many command lines in one process, since every start of node takes its time. They must not reach a broker. */
const RUNNER = `
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const { main } = await import(process.argv[1]);
const results = [];
const writeSync = fs.writeSync;
let result;
fs.writeSync = (fd, bytes, offset = 0) => {
  if (fd !== 1 && fd !== 2) return writeSync(fd, bytes, offset);
  result[fd === 1 ? 'stdout' : 'stderr'] += bytes.toString('utf8', offset);
  return bytes.length - offset;
};
syncBuiltinESMExports();
for (const args of JSON.parse(process.argv[2])) {
  result = { status: 0, stdout: '', stderr: '' };
  process.exitCode = 0;
  await main(args);
  result.status = process.exitCode;
  results.push(result);
}
process.exitCode = 0;
writeSync(1, JSON.stringify(results));
`;

function runMany(lines: readonly (readonly string[])[]): readonly ReturnType<typeof run>[] {
  const program = new URL('program.js', pathToFileURL(MAIN)).href;
  const args = ['--input-type=module', '-e', RUNNER, program, JSON.stringify(lines)];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: directory });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as readonly ReturnType<typeof run>[];
}

const MISUSES: readonly (readonly [line: string, message: RegExp])[] = [
  ['recrod', /unknown command/],
  ['record --bogus', /unknown option '--bogus'\nSee perfbroker record --help\.\n$/],
  ['policy check --bogus', /See perfbroker policy check --help\.\n$/],
  ['--socket= describe', /--socket: the path is empty\nSee perfbroker describe --help\.\n$/],
  ['--socket= grants --follow', /--socket: the path is empty/],
  ['record', /nothing to record/],
  ['record -p 12x', /pid: '12x'/],
  ['record -p 1 -a', /exclude each other/],
  ['record -p 1 -F 10 -c 5', /--freq and --count/],
  ['record -p 1 -e page-fualts', /position 1.*page-faults/],
  ['record -p 1 -m 3', /power of two/],
  ['record -p 1 -m 512M', /--mmap-pages: 512M is not between 1B and 256M/],
  ['explain -m 131072', /--mmap-pages: 131072 pages are not a power of two up to 65536/],
  ['record -p 1 -o -', /standard output/],
  ['record --output= -- touch ran', /--output: the file name is empty/],
  ['record -o none/ -- touch ran', /--output: none\/ names a directory/],
  ['stat --output= -- touch ran', /--output: the file name is empty/],
  ['record -p 1 --duration soon', /--duration/],
  ['record -p 1 --duration 0', /'0' is not a number of seconds above 0/],
  ['record -p 1 --duration 31536000', /31536000 seconds exceed the maximum of 2147483/],
  ['stat', /nothing to count/],
  ['stat -p 1 -I 1', /--interval-print/],
  ['revoke', /missing required argument/],
  ['report --limit x', /--limit/],
];

test('an invalid command line gives exit code 2 and a message that names the option', (t) => {
  const results = runMany(MISUSES.map(([line]) => line.split(' ')));
  for (const [index, [line, message]] of MISUSES.entries()) {
    const result = results[index];
    t.is(result?.status, 2, line);
    t.is(result?.stdout, '', line);
    t.regex(result?.stderr ?? '', /^perfbroker: /, line);
    t.regex(result?.stderr ?? '', message, line);
  }
});

test('--help of every command shows its usage and an example', (t) => {
  const names = ['record', 'run', 'stat', 'report', 'explain', 'describe', 'grants', 'revoke', 'policy check'];
  const results = runMany(names.map((name) => [...name.split(' '), '--help']));
  for (const [index, name] of names.entries()) {
    t.is(results[index]?.status, 0);
    t.regex(results[index]?.stdout ?? '', new RegExp(`^Usage: perfbroker ${name} [[<]`));
    t.regex(results[index]?.stdout ?? '', new RegExp(`Examples?:\n  perfbroker ${name}`));
  }
  const [help, overview, nested] = runMany([['help', 'record'], ['--help'], ['help', 'policy', 'check']]);
  t.regex(nested?.stdout ?? '', /^Usage: perfbroker policy check/);
  t.regex(overview?.stdout ?? '', /^Usage: perfbroker \[options\]/);
  t.regex(results[names.indexOf('report')]?.stdout ?? '', /^perfbroker top is another name of this command\.$/m);
  t.regex(help?.stdout ?? '', /--call-graph/);
  t.regex(overview?.stdout ?? '', /Exit codes: 0 done; 1 denied/);
});

test('--version prints the package version', (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  t.is(run('--version').stdout, `${version}\n`);
});

test('without a broker the exit code is 3, with cause and remedy, and CMD never runs', (t) => {
  const marker = join(directory, 'marker');
  for (const args of [['describe'], ['record', '--', 'touch', marker], ['explain'], ['grants']]) {
    const { status, stderr } = run('--socket', join(directory, 'absent.sock'), ...args);
    t.is(status, 3, stderr);
    t.regex(stderr, /^perfbroker: there is no socket .*\n {2}cause: .*\n {2}what to do: /);
  }
  t.throws(() => readFileSync(marker), { code: 'ENOENT' });
  t.throws(() => readFileSync(join(directory, 'perf.data')), { code: 'ENOENT' });
});

test('an output that cannot be created is found before a broker is asked and CMD runs, with a remedy', (t) => {
  const long = 'x'.repeat(256);
  symlinkSync('nowhere', join(directory, 'link.folded'));
  for (const [name, message] of [
    [long, /ENAMETOOLONG.*\n {2}what to do: Choose a shorter path/],
    [`${long}.folded`, /ENAMETOOLONG.*\n {2}what to do: Choose a shorter path/],
    ['link.folded', /link\.folded is a symbolic link\n {2}what to do: /],
  ] as const)
    for (const command of ['record', 'stat']) {
      const { status, stderr } = run('--socket', 'absent.sock', command, '-o', name, '--', 'touch', 'ran');
      t.is(status, 1);
      t.regex(stderr, message);
    }
  t.false(readdirSync(directory).includes('ran'));
});

test('a path that cannot be a socket gives exit code 3, for root and for a user', (t) => {
  const file = join(directory, 'file');
  writeFileSync(file, '', { mode: 0o600 });
  const ids = process.getuid?.() === 0 ? [{}, { uid: 60123, gid: 60123 }] : [{}];
  for (const user of ids)
    for (const [socket, message] of [
      [file, /file is not a socket/],
      [`/${'x'.repeat(199)}`, /200 bytes; the limit is 107/],
    ] as const) {
      const options = { encoding: 'utf8', cwd: '/', ...user } as const;
      const { status, stderr } = spawnSync(process.execPath, [MAIN, '--socket', socket, 'describe'], options);
      t.is(status, 3);
      t.regex(stderr, message);
      t.regex(stderr, /^perfbroker: [^\n]*\n {2}cause: .*\n {2}what to do: Correct --socket /);
    }
});

test('too few fds give one line with the limit, and a remedy, without a stack trace', (t) => {
  let limits = 0;
  // Node itself needs about 18, and the program about 12 more for the modules that it loads at the same time.
  for (const limit of [20, 22, 24, 26, 28]) {
    const { status, stderr } = spawnSync(
      'bash',
      ['-c', `ulimit -n ${limit}; exec "$@"`, '-', process.execPath, MAIN, 'describe'],
      {
        encoding: 'utf8',
        env: { ...process.env, PERFBROKER_SOCKET: join(directory, 'absent.sock') },
      },
    );
    // Another version of node may need more to start, or less to load everything.
    if (status !== 1 || stderr.includes(MAIN)) continue;
    limits++;
    t.is(stderr.split('\n').length, 3, stderr);
    t.regex(stderr, new RegExp(`^perfbroker: too many open files; the limit is ${limit}\n {2}what to do: .*ulimit -n`));
  }
  t.true(limits > 0);
});

test('--socket is accepted before and after the command', (t) => {
  const socket = join(directory, 'absent.sock');
  t.true(run('describe', '--socket', socket).stderr.includes(socket));
});

test('report of a file that is not a recording prints an error with cause and remedy', (t) => {
  const path = join(directory, 'text');
  writeFileSync(path, 'x'.repeat(500));
  const { status, stderr } = run('report', path);
  t.is(status, 1);
  t.regex(stderr, /^perfbroker: .*: not a perf\.data file.*\n {2}cause: .*\n {2}what to do: /);
  for (const name of ['absent', join('absent', 'x')]) {
    const absent = run('report', name);
    t.is(absent.status, 1);
    t.regex(
      absent.stderr,
      /^perfbroker: there is no file absent.*\n {2}what to do: Give the path of a recording\..*\n$/,
    );
  }
});

const rootTest = process.getuid?.() === 0 ? test : test.skip;

rootTest('policy check opens the file as the broker does, when root runs it', (t) => {
  const parent = mkdtempSync(join(directory, 'access-'));
  const path = join(parent, 'policy.toml');
  writeFileSync(path, RULE, { mode: 0o600 });
  const check = (): string => {
    const { status, stdout, stderr } = run('policy', 'check', path);
    t.is(status, stdout.endsWith('good\n') ? 0 : 1, stderr);
    return status === 0 ? 'good' : stderr;
  };
  const unsearchable = new RegExp(
    `broker would refuse ${parent}: the broker's user \\(uid \\d+\\) cannot search the directory`,
  );
  t.regex(check(), unsearchable);
  chmodSync(parent, 0o755);
  t.regex(check(), /broker would refuse .*policy\.toml: the broker's user \(uid \d+\) cannot read it\. Let uid \d+/);
  chmodSync(path, 0o644);
  t.is(check(), 'good');
  mkdirSync(join(parent, 'policy.d'), { mode: 0o700 });
  t.regex(check(), /broker would refuse .*policy\.d: .* cannot read it/);
});

rootTest('policy check does not give a user advice about a file that only root can read', (t) => {
  const path = join(directory, 'secret.toml');
  writeFileSync(path, RULE, { mode: 0o600 });
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'policy', 'check', path], {
    encoding: 'utf8',
    cwd: '/',
    uid: 60123,
    gid: 60123,
  });
  t.is(status, 1);
  t.is(stderr, `error: ${path}: you (uid 60123) cannot read it. Root can check it.\n`);
});

const RULE =
  '[[rule]]\nname = "own"\nverdict = "allow"\nsubjects = { everyone = true }\ntargets = { same_user = true }\nclasses = ["user"]\n';

test('policy check accepts a valid file and rejects an invalid one', (t) => {
  const path = join(directory, 'policy.toml');
  writeFileSync(path, RULE, { mode: 0o644 });
  const good = run('policy', 'check', path);
  t.is(good.status, process.getuid?.() === 0 ? 0 : 1, good.stderr);
  t.regex(good.stdout, /own/);
  writeFileSync(path, '[[rule]]\nnmae = "own"\n');
  const bad = run('policy', 'check', path);
  t.is(bad.status, 1);
  t.regex(bad.stderr, /error: .*nmae/);
});

test('a reader that goes away is not an error', (t) => {
  const command = `"${process.execPath}" "${MAIN}" --help | head -c 1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
  t.regex(stdout, /0\n$/);
  t.is(stderr, '');
});

test('a policy file whose name has a line feed cannot add a line', (t) => {
  const path = join(directory, 'x\ngood.toml');
  writeFileSync(path, 'x =', { mode: 0o644 });
  const { stdout, stderr } = run('policy', 'check', path);
  t.is(`${stdout}${stderr}`.split('\n').length, 2, stderr);
  t.regex(stderr, /^error: .*x\\u\{000a\}good\.toml:1/);
});
