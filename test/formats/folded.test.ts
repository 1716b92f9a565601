import test from 'ava';
import { foldedLines } from '#dist/formats/folded.js';

test('equal stacks are added up and lines are in order', (t) => {
  const stacks = [
    { frames: ['b', 'leaf'], count: 2 },
    { frames: ['a', 'operator new'], count: 1 },
    { frames: ['b', 'leaf'], count: 3 },
  ];
  t.deepEqual([...foldedLines(stacks)], ['a;operator new 1\n', 'b;leaf 5\n']);
});

test('names cannot break out of their frame or line', (t) => {
  const frames = ['a;b', 'c\nd 9', '\u001b[31m', '\u202e', ''];
  t.deepEqual([...foldedLines([{ frames, count: 1 }])], ['a:b;c?d 9;?[31m;?;? 1\n']);
});
