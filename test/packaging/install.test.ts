/**
 * The package is installed, upgraded, removed, installed again and purged with Debian 13's own dpkg, systemd-sysusers,
 * deb-systemd-helper and nodejs, in a chroot that `test/packaging/rootfs` made. Units do not run there: test/vm has that.
 */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, lstatSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import { buildDeb, noPackaging, temporaryDirectory } from './deb.js';
import { inside, noDebian13, ROOTFS } from './debian13.js';

const reason = noDebian13() ?? noPackaging();
if (reason !== null) console.log(`skipped: ${reason}`);
const installing = reason === null ? test.serial : test.skip;

const root = reason === null ? temporaryDirectory() : '';
const debs: string[] = [];

const run = (...command: string[]): SpawnSyncReturns<string> => inside(root, command);

function dpkg(...args: string[]): string {
  const { status, stdout, stderr } = run('dpkg', ...args);
  if (status !== 0) throw new Error(`dpkg ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout + stderr;
}

/** Every file with its mode and owner, except for dpkg's own data and logs. */
function everything(): string[] {
  const left = ['./proc', './tmp', './var/log', './var/lib/dpkg', './var/cache'].flatMap((path) => [
    '-path',
    path,
    '-prune',
    '-o',
  ]);
  const run = spawnSync('find', ['.', ...left, '-printf', '%P %y %m %u:%g\\n'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  return run.stdout.trimEnd().split('\n').sort();
}

const file = (path: string): string => readFileSync(join(root, path), 'utf8');
const enabled = (): string[] =>
  readdirSync(join(root, 'etc/systemd/system/sockets.target.wants'))
    .filter((name) => name.startsWith('perfbroker'))
    .sort();

let before: string[] = [];

if (reason === null) {
  test.before(() => {
    const copy = spawnSync('cp', ['-a', `${ROOTFS}/.`, root], { encoding: 'utf8' });
    if (copy.status !== 0) throw new Error(copy.stderr);
    for (const version of [[], ['--version', '999.0']]) {
      const deb = buildDeb(...version);
      copyFileSync(deb, join(root, 'tmp', basename(deb)));
      debs.push(`/tmp/${basename(deb)}`);
    }
    before = everything();
  });
}

installing('the package installs users, enabled sockets, and working programs and policy', (t) => {
  dpkg('--install', debs[0]!);
  for (const user of [
    'perfbroker',
    'perfbroker-opener',
    'perfbroker-tracer',
    'perfbroker-bus',
    'perfbroker-collector',
  ]) {
    t.regex(file('etc/passwd'), new RegExp(`^${user}:x:\\d+:\\d+:[^:]*:/:/usr/sbin/nologin$`, 'm'));
    t.regex(file('etc/shadow'), new RegExp(`^${user}:!`, 'm'), 'locked');
  }
  t.regex(file('etc/group'), /^perfbroker:x:\d+:$/m);
  t.deepEqual(enabled(), ['perfbroker-bus.socket', 'perfbroker.socket']);
  t.regex(run('perfbroker', '--version').stdout, /^\d+\.\d+\.\d+\n$/);
  t.regex(run('perfbrokerd', '--version').stdout, /^perfbrokerd \d+\.\d+\.\d+\n$/);
  const check = run('perfbroker', 'policy', 'check', '/etc/perfbroker/policy.toml');
  t.is(check.status, 0, check.stdout + check.stderr);
  t.is(run('dpkg', '--verify', 'perfbroker').stdout, '');
  t.is(lstatSync(join(root, 'run/perfbroker')).mode & 0o7777, 0o755);
});

installing('node of this Debian loads the addon, which finds the users of the package', (t) => {
  const { stdout, stderr } = run(
    'node',
    '-p',
    "require('/usr/libexec/perfbroker/dist/native/perfbroker.node').userId('perfbroker')",
  );
  const uid = /^perfbroker:x:(\d+):/m.exec(file('etc/passwd'))?.[1];
  t.is(stdout, `${uid}\n`, stderr);
});

installing('an upgrade keeps a changed policy, drop-ins, and what the administrator disabled', (t) => {
  appendFileSync(join(root, 'etc/perfbroker/policy.toml'), '# ours\n');
  writeFileSync(join(root, 'etc/perfbroker/policy.d/10-ours.toml'), '# ours\n');
  t.is(run('systemctl', 'disable', 'perfbroker-bus.socket').status, 0);
  dpkg('--install', debs[1]!);
  t.regex(run('dpkg-query', '-W', 'perfbroker').stdout, /\t999\.0\n/);
  t.regex(file('etc/perfbroker/policy.toml'), /# ours\n$/);
  t.is(file('etc/perfbroker/policy.d/10-ours.toml'), '# ours\n');
  t.deepEqual(enabled(), ['perfbroker.socket']);
});

installing('a package that is removed and installed again has its configuration again', (t) => {
  dpkg('--remove', 'perfbroker');
  t.false(existsSync(join(root, 'usr/libexec/perfbroker')));
  t.regex(file('etc/perfbroker/policy.toml'), /# ours\n$/);
  dpkg('--install', debs[1]!);
  t.regex(file('etc/perfbroker/policy.toml'), /# ours\n$/);
  t.deepEqual(enabled(), ['perfbroker.socket']);
});

installing("a purge leaves the locked users, the administrator's files, and nothing else", (t) => {
  dpkg('--purge', 'perfbroker');
  const after = new Set(everything());
  const known = new Set(before);
  const added = [...after].filter((line) => !known.has(line));
  t.deepEqual(added, [
    'etc/perfbroker d 755 root:root',
    'etc/perfbroker/policy.d d 755 root:root',
    'etc/perfbroker/policy.d/10-ours.toml f 644 root:root',
  ]);
  t.deepEqual(
    before.filter((line) => !after.has(line)),
    [],
  );
  t.regex(file('etc/shadow'), /^perfbroker:!/m);
});

installing(
  'an existing unsuitable user with one of our names is an error, and the package is configured once that user is corrected',
  (t) => {
    t.is(run('usermod', '--shell', '/bin/bash', 'perfbroker-bus').status, 0);
    const { status, stderr } = run('dpkg', '--install', debs[0]!);
    t.not(status, 0);
    t.regex(stderr, /the user perfbroker-bus already exists, with uid \d+ and the shell '\/bin\/bash'/);
    t.regex(stderr, /dpkg --configure perfbroker/);
    t.is(run('usermod', '--lock', '--shell', '/usr/sbin/nologin', 'perfbroker-bus').status, 0);
    dpkg('--configure', 'perfbroker');
    dpkg('--purge', 'perfbroker');
  },
);
