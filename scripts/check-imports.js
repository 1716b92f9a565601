// Who may import whom, and that nobody imports in a circle. Usage: node scripts/check-imports.js
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '../src');

/** Folder (or file) of src -> what it may import beside itself. docs/architecture.md says why. */
const allowed = {
  common: [],
  model: ['common'],
  policy: ['common', 'model'],
  'native.ts': [],
  varlink: ['common', 'model', 'native.ts'],
  interfaces: ['varlink'],
  'version.ts': [],
  broker: ['common', 'interfaces', 'model', 'policy', 'varlink', 'native.ts', 'version.ts'],
  client: ['common', 'interfaces', 'model', 'varlink', 'native.ts'],
  bus: ['common', 'interfaces', 'model', 'varlink', 'client', 'native.ts', 'version.ts'],
  formats: ['common', 'model'],
  collector: ['common', 'model', 'client', 'formats', 'native.ts'],
  cli: ['common', 'model', 'policy', 'client', 'collector', 'formats', 'native.ts', 'version.ts'],
};

const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.ts'));
const graph = new Map();
const faults = [];

for (const file of files) {
  const text = readFileSync(join(root, file), 'utf8');
  const imports = ts
    .preProcessFile(text)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.') && name.endsWith('.js'))
    .map((name) => relative(root, resolve(root, dirname(file), name)).replace(/\.js$/, '.ts'));
  graph.set(file, imports);
  const from = file.split('/')[0];
  if (allowed[from] === undefined) faults.push(`${file}: ${from} has no import rule`);
  for (const imported of imports) {
    const to = imported.split('/')[0];
    if (to !== from && !allowed[from]?.includes(to))
      faults.push(`${file} imports ${imported}: ${from} may not import ${to}`);
  }
}

const done = new Set();
function visit(file, path) {
  if (path.includes(file)) {
    faults.push(`circle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    return;
  }
  if (done.has(file)) return;
  for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
  done.add(file);
}
for (const file of files) visit(file, []);

for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
