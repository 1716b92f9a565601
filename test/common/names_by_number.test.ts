import test from 'ava';
import { namesByNumber } from '#dist/common/names_by_number.js';

test('a name is at the index of its number, in any order of the table', (t) => {
  t.deepEqual(namesByNumber({ second: 1, first: 0, third: 2 }), ['first', 'second', 'third']);
});
