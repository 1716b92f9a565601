import test from 'ava';
import type { EventSource } from '#dist/model/event.js';
import { parseFormat, pmuSource, splitTerms, type PmuReader } from '#dist/model/events/syntax/pmu_format.js';

const FILES: Readonly<Record<string, string>> = {
  'cpu/format/event': 'config:0-7,32-35\n',
  'cpu/format/edge': 'config:18',
  'cpu/format/offcore': 'config1:0-63',
  'cpu/events/branches': 'event=0xc4,edge',
};
const reader: PmuReader = {
  read: (path) => (Object.hasOwn(FILES, path) ? FILES[path] : undefined),
  list: (directory) =>
    Object.keys(FILES)
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1)),
};
const source = (terms: string): EventSource =>
  pmuSource('cpu', splitTerms(terms, 4), reader, (at, problem) => {
    throw new Error(`${at}: ${problem}`);
  });

test('a format has a word and ranges, and any other text is not a format', (t) => {
  t.deepEqual(parseFormat('config1:0-7,9'), {
    word: 'config1',
    ranges: [
      [0, 7],
      [9, 9],
    ],
  });
  for (const text of ['', 'config4:0', 'config:64', 'config:7-0', 'config', 'config:a'])
    t.is(parseFormat(text), undefined, text);
});

test('terms are split at commas, with their places', (t) => {
  t.deepEqual(splitTerms('event=1, edge', 10), [
    { name: 'event', value: '1', at: 10 },
    { name: 'edge', at: 18 },
  ]);
  t.deepEqual(splitTerms('', 0), []);
});

test('bits go to the places of the format', (t) => {
  t.deepEqual(source('event=0x13c'), { kind: 'pmu', pmu: 'cpu', config: 0x1_0000_003cn });
  t.deepEqual(source('event=1,edge,offcore=5'), { kind: 'pmu', pmu: 'cpu', config: 0x4_0001n, config1: 5n });
});

test('a named event stands for its terms', (t) => {
  t.deepEqual(source('branches'), source('event=0xc4,edge'));
});

test('a value that does not fit, and an unknown name, are refused at their place', (t) => {
  t.throws(() => source('edge=2'), { message: '4: edge=2 does not fit into its bits' });
  t.throws(() => source('edge,evnt=1'), { message: '9: PMU cpu has no term evnt; did you mean event?' });
  t.throws(() => source('..=1'), { message: '4: ".." is not a term' });
  t.throws(() => source('config=x'), { message: '4: config needs a number' });
});
