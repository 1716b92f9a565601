// Copies the files that the programs need to DIR: dist, node_modules, package.json. Omits types, source maps, headers, tests,
// and files of dist whose source is gone. Usage: node scripts/package-tree.js DIR
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { filesOf, productionModules } from './production-modules.js';

/** Keys of a package.json that node reads, and those that identify the package to people. */
const LOADED_KEYS = ['name', 'version', 'license', 'type', 'main', 'exports', 'imports', 'dependencies'];

const root = join(import.meta.dirname, '..');
const to = process.argv[2];
if (to === undefined) throw new Error('usage: node scripts/package-tree.js DIR');

function put(file, bytes, mode = 0o644) {
  const path = join(to, file);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, bytes);
  chmodSync(path, mode);
}

/** The source maps stay behind, so their mention goes. */
function withoutMap(path) {
  return readFileSync(path, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/gm, '');
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { name, version, license, type, engines } = manifest;
put('package.json', `${JSON.stringify({ name, version, license, type, private: true, engines }, null, 2)}\n`);

for (const source of readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })) {
  if (!source.isFile()) continue;
  const path = join(relative(join(root, 'src'), source.parentPath), source.name);
  const built = join('dist', path.replace(/\.ts$/, '.js'));
  const from = join(root, built);
  if (!existsSync(from)) throw new Error(`${built} is not built: npm run build`);
  put(built, built.endsWith('.js') ? withoutMap(from) : readFileSync(from));
}

for (const program of ['perfbroker', 'perfbrokerd', 'perfbroker-bus'])
  put(`dist/bin/${program}`, readFileSync(join(root, 'dist/bin', program)), 0o755);
// From /usr/libexec/perfbroker/dist/bin: Debian's node, not the one that built the tree.
symlinkSync('../../../../bin/node', join(to, 'dist/bin/node'));
put('dist/native/perfbroker.node', readFileSync(join(root, 'dist/native/perfbroker.node')));

for (const module of productionModules(root)) {
  for (const file of filesOf(module)) {
    const path = join(relative(root, module.directory), file);
    if (!file.endsWith('package.json')) {
      put(path, /\.[cm]?js$/.test(file) ? withoutMap(join(root, path)) : readFileSync(join(root, path)));
      continue;
    }
    // Omits keys that npm wrote on this machine, and keys that only builds need.
    const whole = JSON.parse(readFileSync(join(root, path), 'utf8'));
    const kept = Object.fromEntries(LOADED_KEYS.filter((key) => key in whole).map((key) => [key, whole[key]]));
    put(path, `${JSON.stringify(kept, null, 2)}\n`);
  }
}
