import test from 'ava';
import { parseSubuid } from '#dist/model/subordinate_uids.js';

test('a line of subuid(5) lends a range, and what is no such line lends nothing', (t) => {
  const text = 'alice:100000:65536\n\n# bob:1:1\nbroken\ncarol:-5:10\nalice:x:1\n1000:4294900000:65536 \n:1:2\n';
  t.deepEqual(parseSubuid(text), [
    { first: 100_000, count: 65_536 },
    { first: 4_294_900_000, count: 65_536 },
  ]);
  t.deepEqual(parseSubuid(''), []);
});
