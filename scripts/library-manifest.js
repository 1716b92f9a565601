// `npm pack` makes the client library, not the programs. This script installs the library's package.json before it (prepack)
// and restores the checkout's after it (postpack). The library needs no other package. It contains the compiled addon, which
// uses Node-API and therefore works with every version of node from 20 on.
// Usage: node scripts/library-manifest.js prepare|restore
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '..');
const manifest = join(root, 'package.json');
const saved = join(root, 'build/package.json.saved');
const addon = join(root, 'dist/native/perfbroker.node');

function replace(file, text) {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function prepare() {
  if (existsSync(saved))
    throw new Error(`${saved} exists: an npm pack was interrupted; node scripts/library-manifest.js restore`);
  if (!existsSync(join(root, 'dist/client/index.js')) || !existsSync(addon))
    throw new Error('not built: npm run build');
  // Debug symbols are five sixths of the addon. strip writes a new file, because a process may have the old one mapped.
  const stripped = spawnSync('strip', ['--strip-unneeded', '-o', `${addon}.new`, addon], { stdio: 'inherit' });
  if (stripped.status !== 0) throw new Error('strip failed (apt-get install binutils)');
  renameSync(`${addon}.new`, addon);

  const text = readFileSync(manifest, 'utf8');
  mkdirSync(dirname(saved), { recursive: true });
  replace(saved, text);
  const { name, version, description, license, type, engines, os, exports, files } = JSON.parse(text);
  const library = {
    name,
    version,
    description,
    license,
    type,
    engines,
    os,
    cpu: [process.arch],
    libc: ['glibc'],
    exports,
    files,
  };
  replace(manifest, `${JSON.stringify(library, null, 2)}\n`);
}

function restore() {
  if (existsSync(saved)) renameSync(saved, manifest);
}

if (process.argv[2] === 'prepare') prepare();
else if (process.argv[2] === 'restore') restore();
else throw new Error('usage: node scripts/library-manifest.js prepare|restore');
