/** Contents of the Debian package. install.test.ts installs, upgrades and purges it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { blocks, MAN_PAGES, read } from '../docs/documents.js';
import { ROOT, skip } from '../e2e/daemon.js';
import { buildDeb, buildDebWith, noPackaging, temporaryDirectory, unpack, type Package } from './deb.js';

const reason = noPackaging();
if (reason !== null) console.log(`skipped: ${reason}`);
const packaging = reason === null ? test : test.skip;

let built: Package;
if (reason === null) {
  test.before(() => {
    built = unpack(buildDeb());
  });
}

const paths = (): Set<string> => new Set(built.entries.map(({ path }) => path));
const text = (path: string): string => readFileSync(join(built.tree, path), 'utf8');

packaging('everything belongs to root, nothing is setuid, and nothing is writable by others', (t) => {
  t.true(built.entries.length > 300);
  for (const { mode, owner, path } of built.entries) {
    t.is(owner, 'root/root', path);
    if (mode.startsWith('l')) continue;
    const executable = /^usr\/libexec\/perfbroker\/dist\/bin\/[a-z-]+$/.test(path);
    t.is(mode, mode.startsWith('d') ? 'drwxr-xr-x' : executable ? '-rwxr-xr-x' : '-rw-r--r--', path);
  }
});

packaging('programs, units, configuration and documents are where Debian looks for them', (t) => {
  const there = paths();
  for (const path of [
    'usr/libexec/perfbroker/dist/bin/perfbrokerd',
    'usr/libexec/perfbroker/dist/broker/main.js',
    'usr/libexec/perfbroker/dist/bus/main.js',
    'usr/libexec/perfbroker/dist/cli/main.js',
    'usr/libexec/perfbroker/dist/native/perfbroker.node',
    'usr/libexec/perfbroker/package.json',
    'usr/lib/systemd/system/perfbroker.service',
    'usr/lib/systemd/system/perfbroker.socket',
    'usr/lib/systemd/system/perfbroker-bus.service',
    'usr/lib/systemd/system/perfbroker-bus.socket',
    'usr/lib/sysusers.d/perfbroker.conf',
    'usr/lib/tmpfiles.d/perfbroker.conf',
    'usr/share/dbus-1/system.d/org.perfbroker.Broker1.conf',
    'usr/share/dbus-1/system-services/org.perfbroker.Broker1.service',
    'usr/share/polkit-1/actions/org.perfbroker.policy',
    'usr/share/bash-completion/completions/perfbroker',
    'usr/share/doc/perfbroker/copyright',
    'usr/share/doc/perfbroker/changelog.gz',
    'etc/perfbroker/policy.toml',
    'etc/perfbroker/policy.d/',
    ...MAN_PAGES.map(({ path }) => `usr/share/man/man${path.slice(-1)}/${path.slice('docs/man/'.length)}.gz`),
  ])
    t.true(there.has(path), path);
  t.is(text('etc/perfbroker/policy.toml'), readFileSync(join(ROOT, 'src/policy/default.toml'), 'utf8'));
});

packaging('every link leads to a file of the package, or to the node that it depends on', (t) => {
  const there = paths().add('usr/bin/node');
  const links = built.entries.filter(({ target }) => target !== undefined);
  const targets = links.map(({ path, target = '' }) => join(path, '..', target));
  t.true(targets.includes('usr/libexec/perfbroker/dist/bin/perfbroker'));
  t.true(targets.includes('usr/libexec/perfbroker/dist/bin/perfbrokerd'));
  for (const target of targets) t.true(there.has(target), target);
});

packaging('files that units start or refer to are there', (t) => {
  const there = paths();
  const units = readdirSync(join(built.tree, 'usr/lib/systemd/system'));
  t.is(units.length, 4);
  for (const unit of units) {
    const named = text(`usr/lib/systemd/system/${unit}`).matchAll(
      /(?:file:\/\/)?\/(usr\/(?:libexec\/perfbroker|share\/doc|sbin)\/[\w./-]+)/g,
    );
    for (const [, path = ''] of named) t.true(there.has(path), `${unit}: ${path}`);
    for (const [, page = '', section = ''] of text(`usr/lib/systemd/system/${unit}`).matchAll(/man:([\w.-]+)\((\d)\)/g))
      t.true(there.has(`usr/share/man/man${section}/${page}.${section}.gz`), `${unit}: ${page}(${section})`);
  }
});

packaging('the profile of the front end is the one that its unit names', (t) => {
  const [, profile] = /^AppArmorProfile=-(.*)$/m.exec(text('usr/lib/systemd/system/perfbroker-bus.service')) ?? [];
  t.is(profile, 'perfbroker-bus');
  t.regex(text('etc/apparmor.d/perfbroker-bus'), /^profile perfbroker-bus /m);
  // Where the kernel mediates D-Bus, as Ubuntu's does: `busctl tree` begins at the root.
  t.regex(text('etc/apparmor.d/perfbroker-bus'), /^ *dbus receive bus=system path="\/\{,org\}",$/m);
  t.regex(
    text('etc/apparmor.d/usr.sbin.perfbrokerd'),
    /^profile perfbrokerd \/usr\/libexec\/perfbroker\/dist\/bin\/perfbrokerd /m,
  );
});

packaging("the program in the front end's unit runs without a warning of node", (t) => {
  const [, program = ''] = /^ExecStart=\/(\S+)/m.exec(text('usr/lib/systemd/system/perfbroker-bus.service')) ?? [];
  const { status, stdout, stderr } = spawnSync(join(built.tree, program), ['--version'], { encoding: 'utf8' });
  t.deepEqual([status, stderr], [0, '']);
  t.regex(stdout, /^perfbroker-bus \d+\.\d+\.\d+\n$/);
});

packaging('files below /etc are conffiles, and no other file is', (t) => {
  const conffiles = readFileSync(join(built.control, 'conffiles'), 'utf8').trimEnd().split('\n');
  const below = built.entries.filter(({ path }) => path.startsWith('etc/') && !path.endsWith('/'));
  t.deepEqual(conffiles.sort(), below.map(({ path }) => `/${path}`).sort());
  t.true(conffiles.includes('/etc/perfbroker/policy.toml'));
});

packaging('every other file has its checksum', (t) => {
  const listed = new Map(
    readFileSync(join(built.control, 'md5sums'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(34), line.slice(0, 32)] as const),
  );
  const files = built.entries.filter(({ path, mode }) => mode.startsWith('-') && !path.startsWith('etc/'));
  t.deepEqual([...listed.keys()].sort(), files.map(({ path }) => path).sort());
  for (const [path, sum] of listed)
    t.is(
      createHash('md5')
        .update(readFileSync(join(built.tree, path)))
        .digest('hex'),
      sum,
      path,
    );
});

packaging('it depends on any node from 20 on, and on the libraries that it links', (t) => {
  const depends = built.field('Depends').split(', ');
  t.deepEqual(
    depends.filter((name) => name.startsWith('nodejs')),
    ['nodejs (>= 20)'],
  );
  t.true(depends.some((name) => /^libc6 \(>= 2\.\d+\)$/.test(name)));
  t.true(depends.includes('systemd'));
  t.true(depends.includes('default-dbus-system-bus | dbus-system-bus'));
  t.is(built.field('Recommends'), 'polkitd');
  t.is(
    built.field('Version'),
    (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version,
  );
  t.is(built.field('Architecture'), execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim());
});

packaging('no sources, types, source maps, headers or build tools are shipped', (t) => {
  const programs = built.entries.map(({ path }) => path).filter((path) => path.startsWith('usr/libexec/'));
  t.deepEqual(
    programs.filter(
      (path) =>
        !/\/$|\.(?:c?js|mjs|json|node|toml|varlink|xml)$|\/dist\/bin\/(?:node|perfbroker(?:d|-bus)?)$/.test(path),
    ),
    [],
  );
  t.deepEqual(
    programs.filter((path) =>
      /\/(?:typescript|ava|eslint|prettier|posix|usocket|node-gyp|nan|node-addon-api|@types)\//.test(path),
    ),
    [],
  );
});

packaging('no binary uses V8, whose interface changes with each major version of node', (t) => {
  const addons = built.entries.map(({ path }) => path).filter((path) => path.endsWith('.node'));
  t.deepEqual(addons, ['usr/libexec/perfbroker/dist/native/perfbroker.node']);
  const symbols = execFileSync('readelf', ['--wide', '--dyn-syms', join(built.tree, addons[0]!)], { encoding: 'utf8' });
  t.regex(symbols, / UND napi_/);
  t.notRegex(symbols, / UND _ZN\w*(?:2v8|4node)/);
});

packaging('no file says where it was built', (t) => {
  const found = spawnSync('grep', ['-rlF', '-e', ROOT, built.tree], { encoding: 'utf8' });
  t.is(found.stdout, '');
});

packaging('every binary has its relocations read-only from the start, and guards its stack', (t) => {
  const files = built.entries.filter(({ target }) => target === undefined);
  const binaries = files.map(({ path }) => path).filter((path) => /\.node$|\/dist\/bin\/[\w-]+$/.test(path));
  t.is(binaries.length, 4, binaries.join());
  const readelf = (what: string, path: string): string =>
    execFileSync('readelf', ['--wide', what, join(built.tree, path)], { encoding: 'utf8' });
  for (const path of binaries) {
    t.regex(readelf('--dynamic', path), /BIND_NOW/, path);
    t.true(readelf('--dyn-syms', path).includes('__stack_chk_fail'), path);
    t.regex(readelf('--segments', path), /GNU_RELRO/, path);
  }
});

packaging('a maintainer may have any name', (t) => {
  const DEBFULLNAME = 'A & B | C \\1';
  const named = unpack(buildDebWith({ DEBFULLNAME, DEBEMAIL: 'a@b.invalid' }));
  t.is(named.field('Maintainer'), `${DEBFULLNAME} <a@b.invalid>`);
});

packaging('every npm package that ships is in the copyright file with its licence', (t) => {
  const copyright = text('usr/share/doc/perfbroker/copyright');
  const modules = built.entries
    .map(({ path }) => path)
    .filter((path) => /\/node_modules\/(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(path));
  t.true(modules.length > 20);
  for (const path of modules) {
    const paragraph = copyright
      .split('\n\n')
      .find((part) => part.startsWith(`Files: ${path.replace('package.json', '*')}\n`));
    t.regex(paragraph ?? '', /^Copyright: .+\n(?: .+\n)*License: [\w.-]+$/m, path);
    // A name, not years alone.
    t.regex(/^Copyright: (.+)$/m.exec(paragraph ?? '')?.[1] ?? '', /[A-Za-z]{3}.*[^,]$/, path);
  }
});

packaging('all modules of the unpacked tree load, and the programs run', (t) => {
  const root = join(built.tree, 'usr/libexec/perfbroker');
  const modules = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.js') && !/(?:^|\/)main\.js$/.test(file),
  );
  const load = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      modules.map((file) => `import ${JSON.stringify(join(root, 'dist', file))};`).join(''),
    ],
    { encoding: 'utf8', cwd: '/' },
  );
  t.is(load.status, 0, load.stderr);
  for (const program of ['usr/bin/perfbroker', 'usr/sbin/perfbrokerd'])
    t.regex(execFileSync(join(built.tree, program), ['--version'], { encoding: 'utf8' }), /\b\d+\.\d+\.\d+\n$/);
});

packaging('the same tree gives the same bytes', (t) => {
  const hash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
  t.is(hash(buildDeb()), hash(built.file));
});

packaging('a missing unit stops the build', (t) => {
  const copy = temporaryDirectory();
  for (const part of ['scripts', 'packaging', 'package.json', 'src', 'dist', 'polkit', 'dbus'])
    execFileSync('cp', ['-r', join(ROOT, part), copy]);
  execFileSync('ln', ['-s', join(ROOT, 'node_modules'), copy]);
  const run = spawnSync(join(copy, 'scripts/package'), [], { encoding: 'utf8' });
  t.not(run.status, 0);
  t.regex(run.stderr, /systemd\/perfbroker\.service is missing/);
  t.false(existsSync(join(copy, 'build')));
});

for (const script of ['postinst', 'prerm', 'postrm']) {
  packaging(`${script} is a shell script that stops at the first error, and shellcheck finds no fault`, (t) => {
    const file = join(built.control, script);
    t.is(spawnSync('sh', ['-n', file]).status, 0);
    t.regex(readFileSync(file, 'utf8'), /^#!\/bin\/sh\n(?:#.*\n)*set -e\n/);
    const check = spawnSync('shellcheck', ['--shell=sh', file], { encoding: 'utf8' });
    if (check.error !== undefined) return skip(t, 'shellcheck is not installed');
    t.is(check.stdout, '');
  });
}

packaging('lintian finds nothing', (t) => {
  const run = spawnSync('lintian', ['--allow-root', '--fail-on=error,warning', built.file], { encoding: 'utf8' });
  if (run.error !== undefined) return skip(t, 'lintian is not installed');
  t.is(run.stdout, '');
  t.is(run.status, 0, run.stderr);
});

/** Reason why apparmor_parser cannot be run here, or null. */
function noAppArmor(): string | null {
  if (!existsSync('/etc/apparmor.d/abstractions/base')) return 'apparmor is not installed';
  return spawnSync('apparmor_parser', ['--version']).error === undefined ? null : 'apparmor_parser is not installed';
}

/** @returns what the parser says against a profile; empty when it takes it */
function parseProfile(profile: string): string {
  const run = spawnSync('apparmor_parser', ['-Q', '-K', '-T', profile], { encoding: 'utf8' });
  return run.status === 0 ? '' : `${run.status}: ${run.stderr}`;
}

for (const profile of ['usr.sbin.perfbrokerd', 'perfbroker-bus']) {
  packaging(`apparmor_parser accepts the profile ${profile}`, (t) => {
    const missing = noAppArmor();
    if (missing !== null) return skip(t, missing);
    t.is(parseProfile(join(built.tree, 'etc/apparmor.d', profile)), '');
  });
}

packaging('apparmor_parser accepts each rule that the documents add to the profile', (t) => {
  const missing = noAppArmor();
  if (missing !== null) return skip(t, missing);
  const documented = blocks(read('docs/packaging.md'), 'text');
  t.is(documented.length, 2, 'an audit file, the tracer');
  const example = text('usr/share/doc/perfbroker/examples/20-tracer.conf').match(/^# {3}.*,$/gm) ?? [];
  t.is(example.map((line) => `${line.slice(4)}\n`).join(''), documented[1] ?? 'none');
  const profile = text('etc/apparmor.d/usr.sbin.perfbrokerd');
  const include = '  include if exists <local/usr.sbin.perfbrokerd>\n';
  t.true(profile.includes(include));
  const file = join(temporaryDirectory(), 'profile');
  for (const rules of [...documented, documented.join('')]) {
    writeFileSync(file, profile.replace(include, rules));
    t.is(parseProfile(file), '', rules);
  }
});
