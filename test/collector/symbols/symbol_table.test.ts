import test from 'ava';
import { SymbolTable } from '#dist/collector/symbols/symbol_table.js';

test('a symbol ends with its size, and one without a size at the next', (t) => {
  const table = new SymbolTable([
    { start: 100n, size: 10n, name: 'sized' },
    { start: 200n, size: 0n, name: 'open' },
    { start: 300n, size: 0n, name: 'last' },
    { start: 100n, size: 0n, name: 'alias without size' },
  ]);
  const found = [99n, 100n, 109n, 110n, 299n, 300n, 5000n].map((address) => table.find(address));
  t.deepEqual(found, [undefined, 'sized', 'sized', undefined, 'open', undefined, undefined]);
});

test('of two names for an address the one without a leading underscore is shown', (t) => {
  const named = (...names: string[]): string | undefined =>
    new SymbolTable(names.map((name) => ({ start: 8n, size: 4n, name }))).find(9n);
  t.is(named('__write', 'write'), 'write');
  t.is(named('write', '__write'), 'write');
  t.is(new SymbolTable([]).find(1n), undefined);
});
