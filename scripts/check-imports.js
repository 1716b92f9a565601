// Checks which folders of src may import which, that no import is circular, and how many files lie side by side.
// Usage: node scripts/check-imports.js
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const root = resolve(import.meta.dirname, '../src');
const MAX_FILES = 20;

/**
 * For each folder that has folders: its rooms, and the rooms of the same folder that each of them may import. A room is a folder, or a file
 * that has a row of its own; OWN_FILES are the other files of the folder. docs/architecture.md gives the reasons.
 */
const OWN_FILES = '.';
const rooms = {
  '.': {
    common: [],
    'native.ts': [],
    model: ['common'],
    policy: ['common', 'model', 'native.ts'],
    varlink: ['common', 'model', 'native.ts'],
    interfaces: ['common', 'model', 'varlink'],
    'version.ts': [],
    broker: ['common', 'interfaces', 'model', 'policy', 'varlink', 'native.ts', 'version.ts'],
    client: ['common', 'interfaces', 'model', 'varlink', 'native.ts'],
    bus: ['common', 'interfaces', 'model', 'varlink', 'client', 'native.ts', 'version.ts'],
    formats: ['common', 'model'],
    collector: ['common', 'model', 'client', 'formats', 'native.ts'],
    cli: ['common', 'model', 'policy', 'client', 'collector', 'formats', 'native.ts', 'version.ts'],
  },
  broker: {
    audit: [],
    fairness: [],
    ipc: [],
    processes: ['fairness', 'ipc'],
    host: ['fairness', 'processes'],
    grants: ['ipc', 'processes'],
    'broker.ts': ['audit', 'fairness', 'grants', 'host', 'ipc', 'processes'],
    methods: ['audit', 'fairness', 'grants', 'host', 'ipc', 'processes'],
    'server.ts': ['broker.ts', 'methods', 'fairness', 'processes'],
    'options.ts': [],
    lifecycle: ['options.ts', 'server.ts', 'broker.ts', 'audit', 'fairness', 'ipc'],
    'main.ts': ['options.ts', 'lifecycle', 'server.ts', 'broker.ts', 'audit', 'host', 'ipc'],
  },
  'broker/methods': {
    request: [],
    downgrade: ['request'],
    open: ['request', 'downgrade'],
    'describe.ts': ['request', 'open'],
    'grants.ts': ['request'],
    'dispatch.ts': ['request', 'downgrade', 'open', 'describe.ts', 'grants.ts'],
  },
  bus: {
    [OWN_FILES]: [],
    transport: [OWN_FILES],
    callers: [OWN_FILES, 'transport'],
    polkit: [OWN_FILES, 'transport', 'callers'],
    broker: [OWN_FILES, 'callers'],
    objects: [OWN_FILES, 'transport', 'callers', 'broker'],
    'options.ts': [OWN_FILES],
    'main.ts': [OWN_FILES, 'options.ts', 'transport', 'callers', 'polkit', 'broker', 'objects'],
  },
  model: {
    [OWN_FILES]: [],
    identity: [OWN_FILES],
    errors: [OWN_FILES],
    events: [OWN_FILES, 'errors'],
  },
  'model/events': {
    [OWN_FILES]: [],
    attr: [OWN_FILES],
    syntax: [OWN_FILES],
  },
  policy: {
    [OWN_FILES]: [],
    load: [OWN_FILES],
    decide: [OWN_FILES],
    quota: [OWN_FILES],
    check: [OWN_FILES, 'load', 'decide'],
  },
  collector: {
    [OWN_FILES]: [],
    host: [],
    symbols: [],
    session: [OWN_FILES, 'host'],
    launcher: [OWN_FILES, 'host'],
    record: [OWN_FILES, 'host', 'session', 'symbols'],
    count: [OWN_FILES, 'host', 'session'],
    profile: ['symbols'],
  },
  cli: {
    [OWN_FILES]: [],
    session: [OWN_FILES],
    commands: [OWN_FILES, 'session'],
    'program.ts': [OWN_FILES, 'commands'],
    'main.ts': [OWN_FILES, 'program.ts'],
  },
};

const faults = [];

function roomOf(folder, path) {
  const name = relative(folder, path).split('/')[0];
  return name.endsWith('.ts') && rooms[folder][name] === undefined ? OWN_FILES : name;
}

/** Folders that contain a file, outermost first. */
function foldersOf(file) {
  const names = file.split('/').slice(0, -1);
  return ['.', ...names.map((_, depth) => names.slice(0, depth + 1).join('/'))];
}

function checkImport(file, imported) {
  const others = foldersOf(imported);
  for (const folder of foldersOf(file)) {
    const table = rooms[folder];
    if (table === undefined || !others.includes(folder)) continue;
    const [from, to] = [roomOf(folder, file), roomOf(folder, imported)];
    if (from !== to && table[from] !== undefined && !table[from].includes(to))
      faults.push(`${file} imports ${imported}: in src/${folder}, ${from} may not import ${to}`);
  }
}

function checkFolder(folder) {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  if (files.length > MAX_FILES)
    faults.push(`src/${folder} has ${files.length} files side by side; ${MAX_FILES} at most`);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const table = rooms[folder];
  if (table === undefined && folders.length > 0) faults.push(`src/${folder} has folders and no table of rooms`);
  if (table !== undefined) {
    const ownRow = table[OWN_FILES] !== undefined;
    for (const { name } of entries)
      if (table[name] === undefined && (folders.includes(name) || !ownRow))
        faults.push(`src/${join(folder, name)} has no import rule`);
    checkTable(folder, table);
  }
  for (const name of folders) checkFolder(folder === '.' ? name : `${folder}/${name}`);
}

/** A table that allows a circle enforces nothing. So each room may import only rooms whose rows come before its own. */
function checkTable(folder, table) {
  const before = new Set();
  for (const [room, allowed] of Object.entries(table)) {
    for (const other of allowed)
      if (!before.has(other)) faults.push(`the table of src/${folder}: the row of ${other} has to come before ${room}`);
    before.add(room);
  }
}

const graph = new Map();
for (const file of readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.ts'))) {
  const imports = ts
    .preProcessFile(readFileSync(join(root, file), 'utf8'))
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.') && name.endsWith('.js'))
    .map((name) => relative(root, resolve(root, dirname(file), name)).replace(/\.js$/, '.ts'));
  graph.set(file, imports);
  for (const imported of imports) checkImport(file, imported);
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
for (const file of graph.keys()) visit(file, []);
checkFolder('.');

for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
