#!/usr/bin/env node
/**
 * Holds the tests to the tree of src: each src/PATH.ts with logic has a test/PATH.test.ts, or a row below.
 *
 *   node scripts/check-tests.js                    checks this tree; exit code 1 when there is a fault
 *   node scripts/check-tests.js ROOT [ROWS.json]   another tree and its rows, for the test of this script
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/**
 * Files of src that the test of another file covers, by their path below src. The value is a path below test; that test imports the
 * module. A test that runs the module in another process has `runs`, which is text of the test that shows it.
 */
const coveredBy = {
  'broker/main.ts': { test: 'e2e/lifecycle.test.ts', runs: 'startDaemon(' },
  // Each of its modules has its own test. The limits of connections need real clients.
  'broker/server.ts': { test: 'e2e/abuse.test.ts', runs: 'startDaemon(' },
  'bus/main.ts': { test: 'bus/objects/service.test.ts', runs: 'startFrontEnd(' },
  'cli/commands/explain.ts': { test: 'e2e/explain.test.ts', runs: "'explain'" },
  'cli/commands/policy.ts': { test: 'cli/main.test.ts', runs: "'policy'" },
  'cli/commands/record.ts': { test: 'e2e/command.test.ts', runs: "'record'" },
  'cli/commands/run.ts': 'run/options.test.ts',
  'cli/commands/stat.ts': { test: 'e2e/command.test.ts', runs: "'stat'" },
  'cli/program.ts': { test: 'cli/main.test.ts', runs: "'policy'" },
  // The launcher (native/launcher) starts it with the fds that it serves.
  'collector/launcher/launcher.ts': { test: 'run/output.test.ts', runs: 'await run(' },
  // A class with a name: the readers decide when it is thrown.
  'formats/format_error.ts': 'formats/byte_reader.test.ts',
};

const [root = join(import.meta.dirname, '..'), rowsFile] = process.argv.slice(2);
const rows = rowsFile === undefined ? coveredBy : JSON.parse(readFileSync(rowsFile, 'utf8'));

function parse(path) {
  return ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true);
}

/** True when the file has a function or a class with a body: not when it has only types and constants. */
function hasLogic(path) {
  const isLogic = (node) => (ts.isFunctionLike(node) && node.body !== undefined) || ts.isClassLike(node);
  const visit = (node) => isLogic(node) || ts.forEachChild(node, visit) === true;
  return visit(parse(path));
}

/** True for an import of values: one of types runs nothing. */
function imports(path, module) {
  const isType = (clause) =>
    clause?.isTypeOnly === true ||
    (clause?.namedBindings !== undefined &&
      ts.isNamedImports(clause.namedBindings) &&
      clause.namedBindings.elements.every((element) => element.isTypeOnly));
  return parse(path).statements.some(
    (statement) =>
      ts.isImportDeclaration(statement) && statement.moduleSpecifier.text === module && !isType(statement.importClause),
  );
}

const mirrorOf = (file) => file.replace(/\.ts$/, '.test.ts');
const moduleOf = (file) => `#dist/${file.replace(/\.ts$/, '.js')}`;

/** @returns the fault of a row of the table; null if there is none */
function faultOf(file, row) {
  const { test, runs } = typeof row === 'string' ? { test: row } : row;
  if (!existsSync(join(root, 'src', file))) return `src/${file} does not exist: remove its row`;
  if (existsSync(join(root, 'test', mirrorOf(file)))) return `src/${file} has a test of its own: remove its row`;
  if (!hasLogic(`src/${file}`)) return `src/${file} has no logic: remove its row`;
  if (!existsSync(join(root, 'test', test))) return `src/${file}: its row names test/${test}, which does not exist`;
  if (runs === undefined && !imports(`test/${test}`, moduleOf(file)))
    return `src/${file}: test/${test} does not import ${moduleOf(file)}`;
  if (runs !== undefined && !readFileSync(join(root, 'test', test), 'utf8').includes(runs))
    return `src/${file}: test/${test} does not contain ${runs}`;
  return null;
}

const untested = readdirSync(join(root, 'src'), { recursive: true })
  .filter((file) => file.endsWith('.ts') && !(file in rows))
  .filter((file) => !existsSync(join(root, 'test', mirrorOf(file))) && hasLogic(`src/${file}`))
  .map((file) => `src/${file} has no test: write test/${mirrorOf(file)}, or add a row to scripts/check-tests.js`);
const faults = Object.entries(rows).flatMap(([file, row]) => faultOf(file, row) ?? []);

for (const fault of [...untested.sort(), ...faults]) console.error(fault);
process.exitCode = untested.length + faults.length === 0 ? 0 : 1;
