/** The JSON of docs/protocol.md is what the interface declares: each call, and the reply that follows it. */
import test from 'ava';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import { validateStruct } from '#dist/varlink/validate.js';
import { blocks, read } from './documents.js';

interface Message {
  readonly method?: string;
  readonly parameters?: object;
}

const examples = blocks(read('docs/protocol.md'), 'json').map((text) => JSON.parse(text) as Message);
const pairs = examples.flatMap(({ method, parameters = {} }, index) =>
  method === undefined
    ? []
    : [{ name: method.slice(BROKER_INTERFACE.name.length + 1), parameters, reply: examples[index + 1]?.parameters }],
);

test('every method has an example', (t) => {
  t.deepEqual(pairs.map(({ name }) => name).sort(), Object.keys(BROKER_INTERFACE.methods).sort());
});

for (const { name, parameters, reply } of pairs) {
  test(`the example of ${name} fits the interface`, (t) => {
    const method = BROKER_INTERFACE.methods[name]!;
    t.deepEqual(validateStruct(BROKER_INTERFACE, method.input, parameters), parameters as Record<string, unknown>);
    t.deepEqual(validateStruct(BROKER_INTERFACE, method.output, reply), reply as Record<string, unknown>);
  });
}
