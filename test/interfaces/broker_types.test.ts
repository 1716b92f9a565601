import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { typesFromDefinition } from '../varlink/typescript.js';

// Compiled to build/test/varlink: three levels below the package.
const source = (name: string): string => fileURLToPath(new URL(`../../../src/interfaces/${name}`, import.meta.url));

const interfaces = [
  ['org.perfbroker.Broker.varlink', 'broker_types.ts'],
  ['org.perfbroker.Authorizer.varlink', 'authorizer_types.ts'],
] as const;

for (const [definition, types] of interfaces) {
  test(`the TypeScript types of ${definition} match it`, async (t) => {
    const target = source(types);
    const expected = await typesFromDefinition(source(definition), target);
    if (process.env['UPDATE_TYPES'] === '1') await writeFile(target, expected);
    t.is(await readFile(target, 'utf8'), expected, 'stale: run this test with UPDATE_TYPES=1');
  });
}
