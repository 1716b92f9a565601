#!/usr/bin/env node
/**
 * Keeps words that read like a translation out of documents, comments, strings and test titles. CONTRIBUTING.md has the rules.
 *
 *   node scripts/check-words.js            every hit in this tree, as FILE:LINE: WORD; exit code 1 when there are any
 *   node scripts/check-words.js FILE...    every hit in these files
 *   node scripts/check-words.js --counts   the number of hits of each word
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { extname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const ROOT = join(import.meta.dirname, '..');

/** Files that are not written for readers, or not by us: docs/errors.md is generated from src/model, where its words count. */
const LEFT_OUT = /^(?:LICENSE|package-lock\.json|docs\/errors\.md|scripts\/check-words\.js|packaging\/deb\/changelog)$/;

/** Words stand apart by blanks, or by a line break within a comment. */
const GAP = String.raw`(?:\s+(?:\*|//|#)?\s*)`;
const WORDS = [
  ['can not', `can${GAP}not`],
  ['is no X, are no X', `(?<!\\bthere${GAP})(?:is|are)${GAP}no(?!${GAP}(?:longer|more)\\b)`],
  ['has not to, is not to be had', `(?:has|have|had)${GAP}not${GAP}(?:to|a|an|the)|to${GAP}be${GAP}had`],
  ['for want of', `for${GAP}want${GAP}of`],
  ['which is said', `which${GAP}is${GAP}said`],
  ['for who, for what has', `for${GAP}(?:who|what${GAP}has)`],
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
  ['doc comment that opens with a question', String.raw`(?<=\/\*\*${GAP})(?:what|whether|where|of|why|how|who|which)`],
  // A line of a comment that continues a sentence begins with a small letter.
  ['comment that opens with a question', '(?<=^// )(?:What|Whether|Where|Of|Why|How|Who|Which)', /\.(?:c|cc|h)$/, 'g'],
  [
    'heading that is a question',
    String.raw`(?<=^#{1,6} )(?:what|whether|why|how|who|which|when|.*\?$)`,
    /\.md$/,
    'gim',
  ],
].map(([name, pattern, files = /(?:)/, flags = 'gi']) => ({
  name,
  pattern: new RegExp(`(?<![\\w\`-])(?:${pattern})(?![\\w\`-])`, flags),
  files,
}));

/** Pieces of a file that people read: each with its offset in the text. */
function prose(path, text) {
  if (path.endsWith('.test.ts')) return [...titles(path, text), ...comments(path, text)];
  switch (extname(path)) {
    case '.md':
      return [{ start: 0, text: blank(blank(text, /^```.*?^```$/gms), /\["[^\]]*"\]\([^)]*\.(?:test\.ts|cc)\)/g) }];
    case '.ts':
    case '.js':
    case '.mjs':
      return commentsAndStrings(path, text);
    case '.c':
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
  return pieces(path, text, true);
}

function comments(path, text) {
  return pieces(path, text, false);
}

function pieces(path, text, withStrings) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    const children = node.getChildren(source).filter((child) => !ts.isJSDoc(child));
    const start = node.getStart(source);
    if (children.length > 0) return children.forEach(visit);
    found.push({ start: node.getFullStart(), text: text.slice(node.getFullStart(), start) });
    if (withStrings && isText(node)) found.push({ start, text: quoted(text.slice(start, node.getEnd())) });
  };
  visit(source);
  return found;
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

/** The first argument of a call that has a function behind it or is a test, and properties `title` of tables. */
function titles(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const pieces = [];
  const isTitle = (node) => ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);
  const titlePiece = (node) => ({ start: node.getStart(source), text: quoted(node.getText(source)) });
  const visit = (node) => {
    if (ts.isCallExpression(node)) {
      const [first, ...others] = node.arguments;
      if (
        first !== undefined &&
        (others.some((other) => ts.isArrowFunction(other)) || /^test\b/.test(node.expression.getText(source))) &&
        isTitle(first)
      )
        pieces.push(titlePiece(first));
    }
    if (ts.isPropertyAssignment(node) && node.name.getText(source) === 'title' && isTitle(node.initializer))
      pieces.push(titlePiece(node.initializer));
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
      WORDS.filter(({ files }) => files.test(path)).flatMap(({ name, pattern }) =>
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

/** Every file of the tree, except those that are left out. */
function files() {
  const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return tracked.split('\0').filter((path) => path !== '' && existsSync(join(ROOT, path)) && !LEFT_OUT.test(path));
}

function printCounts(found) {
  for (const { name } of WORDS)
    console.log(`${String(found.filter((hit) => hit.name === name).length).padStart(5)}  ${name}`);
}

const args = process.argv.slice(2);
const counts = args[0] === '--counts';
const named = counts ? [] : args.map((path) => relative(ROOT, resolve(path)));
const found = (named.length > 0 ? named : files()).flatMap((path) => hits(path));
if (counts) printCounts(found);
else {
  for (const { file, line, word } of found) console.log(`${file}:${line}: ${word}`);
  if (found.length > 0) process.exitCode = 1;
}
