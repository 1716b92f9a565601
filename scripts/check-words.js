#!/usr/bin/env node
/**
 * Keeps words that read like a translation out of documents, comments, strings and test titles. CONTRIBUTING.md has the rules.
 *
 *   node scripts/check-words.js            folders above their limit, as FILE:LINE: WORD; exit code 1 when there are any
 *   node scripts/check-words.js FILE...    every hit in these files, whatever their folder
 *   node scripts/check-words.js --counts   a table of all words
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join, relative, resolve } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
/** Loaded when the first TypeScript file comes: it takes as long as everything else. */
let ts;

/**
 * Hits that a folder (or file) may still have, those of its subfolders included unless they have a row of their own. Lower a
 * number when you rewrite files; raise none. Nothing is allowed where there is no row.
 */
const LIMITS = {
  'README.md': 0,
  'SECURITY.md': 0,
  'CONTRIBUTING.md': 0,
  'CHANGELOG.md': 0,
  docs: 0,
  native: 0,
  src: 0,
  'src/broker': 0,
  'src/bus': 0,
  'src/cli': 0,
  'src/client': 0,
  'src/collector': 0,
  'src/common': 0,
  'src/formats': 0,
  'src/interfaces': 0,
  'src/model': 0,
  'src/policy': 0,
  'src/varlink': 0,
  test: 0,
};

/** docs/errors.md is generated from src/model, where its words count. */
const GENERATED = new Set(['docs/errors.md']);

/** Words stand apart by blanks, or by a line break within a comment. */
const GAP = String.raw`(?:\s+(?:\*|//|#)?\s*)`;
const WORDS = [
  ['can not', `can${GAP}not`],
  ['is no X', `(?<!\\bthere${GAP})is${GAP}no(?!${GAP}(?:longer|more)\\b)`],
  ['nobody, somebody, anybody, everybody', '(?:no|some|any|every)body'],
  ['whoever, whatever, whichever', '(?:who|what|which)ever'],
  ['told, tells', 'told|tells'],
  ['so many, so much, so long', `so${GAP}(?:many|much|long)`],
  ['he, his, him', 'he|his|him'],
  ['user side, kernel side', `(?:user|kernel)(?:'s)?[ -]side`],
  ['taken over', `(?:took|taken)${GAP}over`],
  ['gives back', `(?:gives?|gave|given)${GAP}(?:it${GAP}|them${GAP})?back`],
  ['anew', 'anew'],
  ['but for', `but${GAP}for`],
  ['", too"', `(?<=,${GAP})too(?=[.,;:!?)'"\n]|$)`],
].map(([name, pattern]) => ({ name, pattern: new RegExp(`(?<![\\w\`-])(?:${pattern})(?![\\w\`-])`, 'gi') }));

/** Pieces of a file that people read: each with its offset in the text. */
function prose(path, text) {
  if (path.endsWith('.test.ts')) return titles(path, text);
  switch (extname(path)) {
    case '.md':
      return [{ start: 0, text: blank(blank(text, /^```.*?^```$/gms), /\["[^\]]*"\]\([^)]*\.(?:test\.ts|cc)\)/g) }];
    case '.ts':
      return commentsAndStrings(path, text);
    case '.cc':
    case '.h':
      return [...text.matchAll(/\/\/.*|\/\*[^]*?\*\/|"(?:[^"\\\n]|\\.)*"/g)].map((match) => ({
        start: match.index,
        text: match[0],
      }));
    default:
      return [{ start: 0, text }];
  }
}

/** Examples, and titles of tests that a document quotes: these count where the test is. */
function blank(text, pattern) {
  return text.replace(pattern, (part) => part.replace(/[^\n]/g, '-'));
}

function commentsAndStrings(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const pieces = [];
  const visit = (node) => {
    if (ts.isJSDoc(node)) return;
    const children = node.getChildren(source);
    const start = node.getStart(source);
    if (children.length > 0) return children.forEach(visit);
    pieces.push({ start: node.getFullStart(), text: text.slice(node.getFullStart(), start) });
    if (isText(node)) pieces.push({ start, text: quoted(text.slice(start, node.getEnd())) });
  };
  visit(source);
  return pieces;
}

/** Backticks around a template are not those around a word that is only mentioned. */
function quoted(literal) {
  return literal.replace(/^`|`$/g, '"');
}

function isText(node) {
  return (
    ts.isStringLiteral(node) ||
    ts.isNoSubstitutionTemplateLiteral(node) ||
    ts.isTemplateHead(node) ||
    ts.isTemplateMiddleOrTemplateTail(node)
  );
}

/** The first argument of a call that has a function behind it. */
function titles(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const pieces = [];
  const visit = (node) => {
    if (ts.isCallExpression(node)) {
      const [first, ...others] = node.arguments;
      if (
        first !== undefined &&
        others.some((other) => ts.isArrowFunction(other)) &&
        (ts.isStringLiteralLike(first) || ts.isTemplateExpression(first))
      )
        pieces.push({ start: first.getStart(source), text: quoted(first.getText(source)) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return pieces;
}

/** Hits of a file, in the order of its lines. */
function hits(path) {
  const text = readFileSync(join(ROOT, path), 'utf8');
  return prose(path, text)
    .flatMap(({ start, text: piece }) =>
      WORDS.flatMap(({ name, pattern }) =>
        [...piece.matchAll(pattern)].map((match) => ({
          name,
          word: match[0].replace(/\s+/g, ' '),
          at: start + match.index,
        })),
      ),
    )
    .sort((left, right) => left.at - right.at)
    .map((hit) => ({ ...hit, file: path, line: text.slice(0, hit.at).split('\n').length }));
}

/** Every file that the check reads. */
function files() {
  const below = (folder, pattern) =>
    readdirSync(join(ROOT, folder), { recursive: true })
      .map((name) => join(folder, name))
      .filter((name) => pattern.test(name) && !GENERATED.has(name));
  const top = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  return [
    ...top,
    ...below('docs', /\.(?:md|[1-8])$/),
    ...below('src', /\.(?:ts|varlink|toml)$/),
    ...below('native', /\.(?:cc|h)$/),
    ...below('test', /\.test\.ts$/),
  ].sort();
}

/** The row of a file: itself, or the nearest folder above it that has one. */
function folderOf(file) {
  for (let folder = file; folder !== '.'; folder = dirname(folder)) if (folder in LIMITS) return folder;
  return dirname(file);
}

/** Hits by folder, and 0 where there are none. */
function byFolder(found) {
  const folders = new Map(Object.keys(LIMITS).map((folder) => [folder, []]));
  for (const hit of found) folders.set(folderOf(hit.file), [...(folders.get(folderOf(hit.file)) ?? []), hit]);
  return folders;
}

function print(found) {
  for (const { file, line, word } of found) console.log(`${file}:${line}: ${word}`);
}

function printCounts(found) {
  const count = (number) => String(number).padStart(5);
  for (const { name } of WORDS) console.log(`${count(found.filter((hit) => hit.name === name).length)}  ${name}`);
  for (const [folder, some] of byFolder(found))
    console.log(`${count(some.length)} of ${LIMITS[folder] ?? 0}  ${folder}`);
}

function check(found) {
  const above = [...byFolder(found)].filter(([folder, some]) => some.length > (LIMITS[folder] ?? 0));
  for (const [folder, some] of above) {
    console.error(`${folder}: ${some.length} words that CONTRIBUTING.md replaces, ${LIMITS[folder] ?? 0} allowed`);
    print(some);
  }
  return above.length === 0;
}

const args = process.argv.slice(2);
const counts = args[0] === '--counts';
const named = counts ? [] : args.map((path) => relative(ROOT, resolve(path)));
const paths = named.length > 0 ? named : files();
if (paths.some((path) => path.endsWith('.ts'))) ts = (await import('typescript')).default;
const found = paths.flatMap((path) => hits(path));
if (counts) printCounts(found);
else if (named.length > 0) print(found);
if (!counts && !(named.length > 0 ? found.length === 0 : check(found))) process.exitCode = 1;
