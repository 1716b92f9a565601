/** scripts/check-words.js, on files of a few lines. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ROOT } from '../e2e/daemon.js';
import { MAN_PAGES, MARKDOWN } from './documents.js';

interface Case {
  readonly title: string;
  /** Its end decides what counts. */
  readonly name: string;
  readonly text: string;
  /** `LINE: WORD` each. */
  readonly hits: readonly string[];
}

const DOCUMENTS: readonly (readonly [text: string, hits: readonly string[]])[] = [
  ['It can not.', ['1: can not']],
  ['It can\nnot.', ['1: can not']],
  ['It cannot, and it is not a fault.', []],
  ['It is no fault.', ['1: is no']],
  ['There is no fault, it is no longer one, it is no more than that.', []],
  ['They are no faults, but there are no others.', ['1: are no']],
  ['It has not to wait, and is not to be had.', ['1: has not to', '1: to be had']],
  ['It has not been read, and has not ended.', []],
  ['It ends for want of work, which is said.', ['1: for want of', '1: which is said']],
  ['Made for who asks, and for what has no clock.', ['1: for who', '1: for what has']],
  ['It is for users who ask, and for whom it waits.', []],
  ['# What it is\n## Limits\n### Does it work?', ['1: What', '3: Does it work?']],
  ['# Whole files\n## Reasons why\nWhat is it? Why?', []],
  ['Nobody knows everybody.', ['1: Nobody', '1: everybody']],
  ['Whoever asks is told whatever it tells.', ['1: Whoever', '1: told', '1: whatever', '1: tells']],
  ['So many, not so long ago.', ['1: So many', '1: so long']],
  ['He has his, she had hers.', ['1: He', '1: his']],
  ["The kernel's side, the user side.", ["1: kernel's side", '1: user side']],
  ['It was taken over, given back, and begun anew.', ['1: taken over', '1: given back', '1: anew']],
  ['All but for one.', ['1: but for']],
  ['This one, too.', ['1: too']],
  ['Too long, too deep, or two too many.', []],
  ['`can not` and `whoever` are words.', []],
];
const CASES: readonly Case[] = [
  ...DOCUMENTS.map(([text, hits]) => ({
    title: `in a document, ${JSON.stringify(text)} has ${hits.length === 1 ? 'one hit' : `${hits.length} hits`}`,
    name: 'document.md',
    text,
    hits,
  })),
  {
    title: 'examples of a document, and the titles of tests that it quotes, are not its own words',
    name: 'document.md',
    text: ['```sh', '# nobody', '```', '["nobody is told"](test/e2e/denial.test.ts)', '[nobody](README.md)'].join('\n'),
    hits: ['5: nobody'],
  },
  ...['ts', 'js', 'mjs'].map((extension) => ({
    title: `comments and strings of a .${extension} file count, names in it do not`,
    name: `source.${extension}`,
    text: [
      '/** Whatever. */',
      'const nobody = 1;',
      "const text = 'is told';",
      'const template = `${nobody} tells ${text}, too`;',
      'call(nobody); // but',
      '              // for one: anew',
    ].join('\n'),
    hits: ['1: Whatever', '3: told', '4: tells', '4: too', '5: but // for', '6: anew'],
  })),
  {
    title: 'the titles and comments of a test file count, its other strings do not',
    name: 'some.test.ts',
    text: [
      '/** Of nobody. */',
      "test('nobody is told', (t) => {",
      "  t.is('nobody', `told`); // anew",
      '  /* whatever */',
      '});',
    ].join('\n'),
    hits: ['1: Of', '1: nobody', '2: nobody', '2: told', '3: anew', '4: whatever'],
  },
  {
    title: 'titles in the tables of a test file, and of its macros, count',
    name: 'tables.test.ts',
    text: [
      "test('nobody', macro, 'nobody');",
      "test.serial('is told', macro, 1);",
      "const rows = [{ title: 'a whole that is no object', text: 'nobody' }];",
    ].join('\n'),
    hits: ['1: nobody', '2: told', '3: is no'],
  },
  {
    title: 'a doc comment that opens with a question counts',
    name: 'source.ts',
    text: [
      '/** What it does. */',
      '/** Whether it does. */',
      '/**',
      ' * Of a file.',
      ' */',
      '/** Why it fails. */',
      '/** How it fails. */',
      '/** Who calls it. */',
      '/** Which of them. */',
      '/** Where it is. */',
    ].join('\n'),
    hits: ['1: What', '2: Whether', '4: Of', '6: Why', '7: How', '8: Who', '9: Which', '10: Where'],
  },
  {
    title: 'a question elsewhere in a comment, or at the beginning of another comment, does not count',
    name: 'source.ts',
    text: ['/** Reason why it fails. What it says. */', '/* What it does. */', '// Whether it does.'].join('\n'),
    hits: [],
  },
  ...['cc', 'h', 'c'].map((extension) => ({
    title: `comments and strings of a .${extension} file count`,
    name: `source.${extension}`,
    text: ['// nobody', 'int nobody; /* told', 'anew */', 'const char* text = "he // says";'].join('\n'),
    hits: ['1: nobody', '2: told', '3: anew', '4: he'],
  })),
  {
    title: 'a comment of C++ that opens with a question counts, a line that continues one does not',
    name: 'source.cc',
    text: ['// Where it is.', '// The caller decides', '// what it does.', 'int a;  // What it is.'].join('\n'),
    hits: ['1: Where', '4: What'],
  },
  {
    title: 'a shell script counts as a whole',
    name: 'script',
    text: ['#!/bin/sh', "verdict 'nobody is served' served", 'anew # but', '# for one'].join('\n'),
    hits: ['2: nobody', '3: anew', '3: but # for'],
  },
  {
    title: 'a manual page counts as a whole',
    name: 'page.1',
    text: '.TP\nIt can not.',
    hits: ['2: can not'],
  },
];

function check(...args: string[]): { status: number | null; lines: readonly string[] } {
  const script = join(ROOT, 'scripts/check-words.js');
  const { status, stdout } = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  return { status, lines: stdout.split('\n').filter((line) => line !== '') };
}

let directory: string;
let lines: readonly string[];
test.before((t) => {
  directory = mkdtempSync(join(tmpdir(), 'perfbroker-words-'));
  const files = CASES.map(({ name, text }, index) => {
    const file = join(directory, `${index}-${name}`);
    writeFileSync(file, text);
    return file;
  });
  const run = check(...files);
  t.is(run.status, 1);
  lines = run.lines;
});
test.after.always(() => {
  rmSync(directory, { recursive: true });
});

for (const [index, { title, name, hits }] of CASES.entries())
  test(title, (t) => {
    const start = `/${index}-${name}:`;
    t.deepEqual(
      lines.filter((line) => line.includes(start)).map((line) => line.slice(line.indexOf(start) + start.length)),
      hits,
    );
  });

test('--counts lists the number of hits of each word in the tree', (t) => {
  const { status, lines: counts } = check('--counts');
  t.is(status, 0);
  t.true(counts.some((line) => /^ +0 {2}doc comment that opens with a question$/.test(line)));
  for (const line of counts) t.regex(line, /^ *\d+ {2}\S/);
});

test('the documents and manual pages have none of these words', (t) => {
  // errors.md is made from src, where its words count.
  const documents = [...MARKDOWN, ...MAN_PAGES].map(({ path }) => path).filter((path) => path !== 'docs/errors.md');
  t.deepEqual(check(...documents.map((path) => join(ROOT, path))), { status: 0, lines: [] });
});
