// Finds the npm packages that the programs load when they run, as directories below node_modules, and the files of these that
// a package for users contains. Imported by the scripts that pack.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Dependencies that nothing loads at run time, each with the reason why it can be left out. */
const NOT_LOADED = {
  'node-addon-api': 'headers for the build of the addon',
  'event-stream': 'dbus-next loads it for addresses of the kind unixexec: alone',
};

/** A package that runs. */
/** @typedef {{ name: string, version: string, directory: string, manifest: Record<string, unknown> }} Module */

/** @param {string} directory @returns {Record<string, any>} */
function manifestOf(directory) {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
}

/** Returns the directory in which node would find `name` for a file in `directory`. */
function resolveFrom(directory, name, root) {
  for (let at = directory; at.startsWith(root); at = dirname(at)) {
    const candidate = join(at, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
  }
  throw new Error(`${name}, which ${directory} depends on, is not installed: npm ci`);
}

/** Packages that the programs may load, sorted by directory. Without optional dependencies: packages work without these. */
export function productionModules(root) {
  const found = new Map();
  const visit = (directory, manifest) => {
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      if (name in NOT_LOADED || name.startsWith('@types/')) continue;
      const to = resolveFrom(directory, name, root);
      if (found.has(to)) continue;
      const next = manifestOf(to);
      found.set(to, { name, version: next.version, directory: to, manifest: next });
      visit(to, next);
    }
  };
  visit(root, manifestOf(root));
  return [...found.values()].sort((a, b) => (a.directory < b.directory ? -1 : 1));
}

const LEFT_OUT_FOLDERS = /^(?:node_modules|test|tests|examples?|bin|typings|browser|obj\.target|\.github|\.deps)$/;
const LEFT_OUT_FILES =
  /^(?:rollup\.config\.js|test\.js|Gruntfile\.js|eslint.*|bower\.json|component\.json|.*\.bc\.js|.*\.min\.js|async\.mjs|\..*)$/;

/** Further builds of a package, for loaders that are not used here. */
const OTHER_BUILDS = {
  fecha: ['lib/fecha.js'],
  jsbi: ['dist/jsbi-umd.js', 'dist/jsbi.mjs'],
  'safe-stable-stringify': ['esm/package.json', 'esm/wrapper.js'],
  'smol-toml': ['dist/index.cjs'],
};

/** Files that are loaded: JavaScript, JSON and compiled addons. Not sources, types, tests, texts and builds for browsers. */
export function filesOf({ name, directory, manifest }) {
  const files = [];
  const walk = (path) => {
    for (const entry of readdirSync(join(directory, path), { withFileTypes: true })) {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) {
        // The copies in dist/ are for browsers where the package's main is elsewhere.
        const forBrowsers = entry.name === 'dist' && path === '' && !mainFolders(manifest).has('dist');
        if (!LEFT_OUT_FOLDERS.test(entry.name) && !forBrowsers) walk(inner);
      } else if (entry.isFile() && /\.(?:js|cjs|mjs|json|node)$/.test(entry.name) && !LEFT_OUT_FILES.test(entry.name)) {
        files.push(inner);
      }
    }
  };
  walk('');
  if (!files.includes('package.json')) throw new Error(`${name} has no package.json`);
  const others = OTHER_BUILDS[name] ?? [];
  for (const other of others)
    if (!files.includes(other))
      throw new Error(`${name} does not have ${other} any more: check which of its builds is loaded`);
  return files.filter((file) => !others.includes(file)).sort();
}

/** Top folders in which a package's entry points lie. */
function mainFolders(manifest) {
  const entries = JSON.stringify([manifest.main ?? 'index.js', manifest.exports ?? null, manifest.module ?? null]);
  return new Set([...entries.matchAll(/"(?:\.\/)?([\w-]+)\//g)].map((match) => match[1]));
}
