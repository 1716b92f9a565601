import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { typesFromDefinition } from './typescript.js';

// Compiled to build/test/varlink: three levels below the package.
const source = (name: string): string => fileURLToPath(new URL(`../../../src/varlink/${name}`, import.meta.url));

test('the TypeScript types of the interface match its definition', async (t) => {
  const target = source('broker_types.ts');
  const expected = await typesFromDefinition(source('org.perfbroker.Broker.varlink'), target);
  if (process.env['UPDATE_TYPES'] === '1') await writeFile(target, expected);
  t.is(await readFile(target, 'utf8'), expected, 'stale: run this test with UPDATE_TYPES=1');
});
