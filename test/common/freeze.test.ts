import test from 'ava';
import { deepFreeze } from '#dist/common/freeze.js';

test('a frozen value cannot be changed at any depth', (t) => {
  const value = deepFreeze({ list: [{ inner: 1 }], empty: null, text: 'x' });
  t.throws(() => (value.list[0]!.inner = 2), { instanceOf: TypeError });
  t.throws(() => value.list.push({ inner: 3 }), { instanceOf: TypeError });
  t.throws(() => (value.text = 'y'), { instanceOf: TypeError });
  t.is(deepFreeze(7), 7);
});
