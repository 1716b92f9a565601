import test, { type ExecutionContext } from 'ava';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { PolicyError } from '#dist/policy/error.js';
import { DEFAULT_PATH, dropInDirectoryOf, loadPolicy } from '#dist/policy/load/load.js';
import { MAXIMUM_BYTES } from '#dist/policy/load/trusted_file.js';
import type { Policy } from '#dist/policy/types.js';
import { directory, rootTest, rule, write } from '../files.js';
import { names } from '../fixtures.js';

function load(path: string, options: { dropInDirectory?: string; missing?: 'built-in default' } = {}): Policy {
  return loadPolicy({ path, names, ...options });
}

function refusal(t: ExecutionContext, path: string): PolicyError {
  return t.throws<PolicyError>(() => load(path), { instanceOf: PolicyError });
}

rootTest('a file is read with its drop-ins in the order of their names', (t) => {
  const root = directory(t);
  const path = write(root, 'policy.toml', rule('main'));
  write(root, 'policy.d/20-b.toml', rule('b'));
  write(root, 'policy.d/10-a.toml', rule('a'));
  write(root, 'policy.d/README', 'no TOML');
  write(root, 'policy.d/.hidden.toml', 'no TOML');
  write(root, 'policy.d/10-a.toml.bak', 'no TOML');
  const policy = load(path);
  t.deepEqual(policy.sources, [path, join(root, 'policy.d/10-a.toml'), join(root, 'policy.d/20-b.toml')]);
  t.deepEqual(
    policy.rules.map(({ name, where }) => [name, where]),
    [
      ['main', `${path}:1`],
      ['a', `${join(root, 'policy.d/10-a.toml')}:1`],
      ['b', `${join(root, 'policy.d/20-b.toml')}:1`],
    ],
  );
});

rootTest('drop-ins are beside the main file under its name, or in a folder that is given', (t) => {
  t.is(dropInDirectoryOf('/etc/perfbroker/policy.toml'), '/etc/perfbroker/policy.d');
  t.is(dropInDirectoryOf('/x/my.policy'), '/x/my.policy.d');
  const root = directory(t);
  const path = write(root, 'policy.toml', rule('main'));
  write(root, 'elsewhere/a.toml', rule('a'));
  t.deepEqual(
    load(path).rules.map(({ name }) => name),
    ['main'],
  );
  t.deepEqual(
    load(path, { dropInDirectory: join(root, 'elsewhere') }).rules.map(({ name }) => name),
    ['main', 'a'],
  );
});

rootTest('a file that does not exist is an error, unless the built-in default may stand in', (t) => {
  const root = directory(t);
  const path = join(root, 'policy.toml');
  t.regex(refusal(t, path).message, /does not exist/);
  write(root, 'policy.d/a.toml', rule('a'));
  const policy = load(path, { missing: 'built-in default' });
  t.deepEqual(policy.sources, ['built-in default', join(root, 'policy.d/a.toml')]);
  t.is(policy.rules.at(-1)?.name, 'a');
});

if (existsSync(DEFAULT_PATH)) {
  test.skip(`without a path the built-in default is in force (skipped: ${DEFAULT_PATH} exists here)`, (t) => {
    t.pass();
  });
} else {
  test('without a path the built-in default is in force, with the names of this machine', (t) => {
    t.is(loadPolicy().sources[0], 'built-in default');
    t.throws(() => loadPolicy({ path: DEFAULT_PATH }), { message: /does not exist/ });
  });
}

rootTest('a file that belongs to a user other than root is refused', (t) => {
  const path = write(directory(t), 'policy.toml', rule('main'));
  chownSync(path, 60123, 0);
  const error = refusal(t, path);
  t.is(error.file, path);
  t.regex(error.message, /belongs to uid 60123.*chown root/);
});

for (const mode of [0o664, 0o646, 0o666, 0o622]) {
  rootTest(`a file of mode ${mode.toString(8)} is refused, since others may write it`, (t) => {
    const path = write(directory(t), 'policy.toml', rule('main'));
    chmodSync(path, mode);
    t.regex(refusal(t, path).message, /other users than the owner may write.*chmod go-w/);
  });
}

rootTest(
  'a symbolic link is refused, even to a good file, and even a dangling one where the default could stand in',
  (t) => {
    const root = directory(t);
    write(root, 'good.toml', rule('main'));
    symlinkSync('good.toml', join(root, 'policy.toml'));
    symlinkSync('nothing', join(root, 'dangling.toml'));
    t.regex(refusal(t, join(root, 'policy.toml')).message, /symbolic link/);
    t.throws(() => load(join(root, 'dangling.toml'), { missing: 'built-in default' }), { message: /symbolic link/ });
  },
);

rootTest('a FIFO is refused without waiting for it', (t) => {
  const path = join(directory(t), 'policy.toml');
  execFileSync('mkfifo', ['-m', '644', path]);
  t.regex(refusal(t, path).message, /not a regular file/);
});

rootTest('a directory for a file, and a file for a directory, are refused', (t) => {
  const root = directory(t);
  mkdirSync(join(root, 'policy.toml'), { mode: 0o755 });
  t.regex(refusal(t, join(root, 'policy.toml')).message, /not a regular file/);
  const other = write(root, 'other.toml', rule('main'));
  write(root, 'other.d', '');
  t.regex(refusal(t, other).message, /not a directory/);
  t.regex(refusal(t, join(other, 'x.toml')).message, /not a directory/);
});

rootTest('a file of 256 KiB is read and a longer one refused', (t) => {
  const root = directory(t);
  const text = rule('main');
  const path = write(root, 'policy.toml', text + '#'.repeat(MAXIMUM_BYTES - text.length));
  t.is(load(path).rules.length, 1);
  t.regex(
    refusal(t, write(root, 'long.toml', text + '#'.repeat(MAXIMUM_BYTES - text.length + 1))).message,
    /longer than 256 KiB/,
  );
});

rootTest('a file that is not UTF-8 is refused', (t) => {
  t.regex(refusal(t, write(directory(t), 'policy.toml', Buffer.from('# \xff', 'latin1'))).message, /not UTF-8/);
});

for (const spoil of ['owner', 'mode'] as const) {
  rootTest(`a drop-in directory of the wrong ${spoil} is refused, and so is the policy`, (t) => {
    const root = directory(t);
    const path = write(root, 'policy.toml', rule('main'));
    write(root, 'policy.d/a.toml', rule('a'));
    if (spoil === 'owner') chownSync(join(root, 'policy.d'), 60123, 60123);
    else chmodSync(join(root, 'policy.d'), 0o775);
    const error = refusal(t, path);
    t.is(error.file, join(root, 'policy.d'));
    t.regex(error.message, /the directory/);
  });

  rootTest(`a drop-in file of the wrong ${spoil} is refused, and so is the policy`, (t) => {
    const root = directory(t);
    const path = write(root, 'policy.toml', rule('main'));
    const dropIn = write(root, 'policy.d/a.toml', rule('a'));
    if (spoil === 'owner') chownSync(dropIn, 60123, 60123);
    else chmodSync(dropIn, 0o666);
    t.is(refusal(t, path).file, dropIn);
  });
}

rootTest('a drop-in that is a link is refused, and so is a drop-in directory that is a link', (t) => {
  const root = directory(t);
  const path = write(root, 'policy.toml', rule('main'));
  write(root, 'policy.d/a.toml', rule('a'));
  symlinkSync('a.toml', join(root, 'policy.d/b.toml'));
  t.is(refusal(t, path).file, join(root, 'policy.d/b.toml'));
  rmSync(join(root, 'policy.d/b.toml'));
  t.is(load(path).rules.length, 2);
  renameSync(join(root, 'policy.d'), join(root, 'real'));
  symlinkSync('real', join(root, 'policy.d'));
  t.is(refusal(t, path).file, join(root, 'policy.d'));
});

rootTest('an error in a drop-in names the drop-in and its line', (t) => {
  const root = directory(t);
  const path = write(root, 'policy.toml', rule('main'));
  const dropIn = write(root, 'policy.d/a.toml', rule('a', 'limit = {}'));
  const error = refusal(t, path);
  t.like(error, { file: dropIn, line: 7, column: 1, key: 'rule.limit' });
});

rootTest('a process without privilege reads the files that it may, and the error for any other has a remedy', (t) => {
  const root = directory(t);
  const path = write(root, 'policy.toml', rule('main').replace('"alice"', '0'));
  const dropIn = write(root, 'policy.d/a.toml', rule('a').replace('"alice"', '0'));
  const module = JSON.stringify(import.meta.resolve('#dist/policy/load/load.js'));
  const script = `import(${module}).then(({ loadPolicy }) => { try { console.log('rules', loadPolicy({ path: process.argv[1] }).rules.length); } catch (error) { console.log(error.message); } })`;
  const run = (): string => {
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, path], {
      uid: 60123,
      gid: 60123,
      encoding: 'utf8',
      cwd: '/',
    });
    return stdout + stderr;
  };
  t.is(run(), 'rules 2\n');
  chmodSync(dropIn, 0o600);
  t.regex(run(), /policy\.d\/a\.toml: the broker \(uid 60123\) cannot read it\. Let the broker's user/);
  chmodSync(dropIn, 0o644);
  chmodSync(join(root, 'policy.d'), 0o700);
  t.regex(run(), /policy\.d: the broker \(uid 60123\) cannot read it/);
  chmodSync(root, 0o700);
  t.regex(run(), /policy\.toml: the broker \(uid 60123\) cannot read it/);
});
