/** `npm pack` makes a library that an empty TypeScript project installs, offline, and that works for a user without rights. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { blocks, read } from '../docs/documents.js';
import { ALICE } from '../e2e/as_user.js';
import { noPrivilege, ROOT, startDaemon } from '../e2e/daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-library-'));
const checkout = join(directory, 'checkout');
const project = join(directory, 'project');
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const environment = {
  PATH: process.env['PATH'],
  HOME: directory,
  npm_config_offline: 'true',
  npm_config_update_notifier: 'false',
};

let tarball: string;
test.before(() => {
  execFileSync('chmod', ['755', directory]);
  // A copy: prepack exchanges package.json for a moment, and other tests read it.
  mkdirSync(checkout);
  for (const part of ['package.json', 'README.md', 'SECURITY.md', 'LICENSE', 'scripts', 'docs', 'dist'])
    cpSync(join(ROOT, part), join(checkout, part), { recursive: true });
  const pack = spawnSync('npm', ['pack', '--silent'], { cwd: checkout, env: environment, encoding: 'utf8' });
  if (pack.status !== 0) throw new Error(`npm pack: ${pack.stdout}${pack.stderr}`);
  tarball = join(
    checkout,
    readdirSync(checkout).find((name) => name.endsWith('.tgz'))!,
  );
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "profiler", "type": "module", "private": true }\n');
  const install = spawnSync('npm', ['install', '--no-audit', '--no-fund', tarball], {
    cwd: project,
    env: environment,
    encoding: 'utf8',
  });
  if (install.status !== 0) throw new Error(`npm install: ${install.stdout}${install.stderr}`);
});

const contents = (): string[] => execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trimEnd().split('\n');

test('packing leaves package.json as it was', (t) => {
  t.is(readFileSync(join(checkout, 'package.json'), 'utf8'), readFileSync(join(ROOT, 'package.json'), 'utf8'));
  t.deepEqual(
    readdirSync(checkout)
      .filter((name) => name === 'build')
      .flatMap((name) => readdirSync(join(checkout, name))),
    [],
  );
});

test('the library asks for no other package, and runs no script when it is installed', (t) => {
  const manifest = JSON.parse(readFileSync(join(project, 'node_modules/perfbroker/package.json'), 'utf8')) as object;
  for (const key of ['dependencies', 'optionalDependencies', 'peerDependencies', 'scripts', 'private'])
    t.false(key in manifest, key);
  t.deepEqual(
    readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['perfbroker'],
  );
});

test('it has the client and the modules that the client imports, and no module of the programs', (t) => {
  t.deepEqual(
    contents().filter(
      (path) =>
        !/^package\/(?:dist\/(?:client|common|interfaces|model|varlink)\/[\w/]+\.(?:js|d\.ts)|dist\/interfaces\/[\w.]+\.varlink|dist\/native\.(?:js|d\.ts))$/.test(
          path,
        ) &&
        !/^package\/(?:package\.json|README\.md|SECURITY\.md|LICENSE|docs\/\w+\.md|dist\/native\/perfbroker\.node)$/.test(
          path,
        ),
    ),
    [],
  );
});

test('no file says where it was built', (t) => {
  const found = spawnSync('grep', ['-rlF', '-e', ROOT, join(project, 'node_modules/perfbroker')], { encoding: 'utf8' });
  t.is(found.stdout, '');
});

(reason === null ? test : test.skip)('the program of the README compiles as strict TypeScript, and runs', async (t) => {
  writeFileSync(join(project, 'program.ts'), blocks(read('README.md'), 'js')[0] ?? '');
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        module: 'nodenext',
        strict: true,
        noUncheckedIndexedAccess: true,
        exactOptionalPropertyTypes: true,
        types: ['node'],
      },
      files: ['program.ts'],
    }),
  );
  // What a project has of its own: the compiler, and the types of node.
  mkdirSync(join(project, 'node_modules/@types'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'));
  symlinkSync(join(ROOT, 'node_modules/undici-types'), join(project, 'node_modules/undici-types'));
  const compiled = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: project, encoding: 'utf8' });
  t.is(compiled.stdout, '');
  t.is(compiled.status, 0);

  const daemon = await startDaemon();
  t.teardown(() => daemon.stop());
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(project, 'program.js')], {
    uid: ALICE,
    gid: ALICE,
    cwd: '/',
    env: { PERFBROKER_SOCKET: daemon.socket },
    encoding: 'utf8',
    timeout: 30_000,
  });
  t.is(status, 0, stderr);
  t.regex(stdout, /^(\d+ \d+n\n){2,}$/);
});

test('a wrong use of the library is an error of the compiler', (t) => {
  writeFileSync(
    join(project, 'wrong.ts'),
    "import { connect } from 'perfbroker';\nconst client = await connect();\nawait client.open({ targets: 1 });\n",
  );
  const compilerOptions = { target: 'es2022', module: 'nodenext', strict: true, lib: ['es2023', 'esnext.disposable'] };
  writeFileSync(join(project, 'tsconfig.wrong.json'), JSON.stringify({ compilerOptions, files: ['wrong.ts'] }));
  const compiled = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['--noEmit', '-p', 'tsconfig.wrong.json'], {
    cwd: project,
    encoding: 'utf8',
  });
  t.regex(compiled.stdout, /wrong\.ts\(3,\d+\): error TS2322/);
  t.not(compiled.status, 0);
});
