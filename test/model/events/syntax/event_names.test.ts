import test from 'ava';
import { symbolicSource, SYMBOLIC_NAMES } from '#dist/model/events/syntax/event_names.js';

test('aliases stand for the names of the kernel', (t) => {
  t.deepEqual(symbolicSource('cycles'), { kind: 'hardware', name: 'cpu-cycles' });
  t.deepEqual(symbolicSource('cs'), { kind: 'software', name: 'context-switches' });
  t.deepEqual(symbolicSource('l1d-read-misses'), {
    kind: 'cache',
    cache: 'L1-dcache',
    operation: 'load',
    result: 'miss',
  });
  t.deepEqual(symbolicSource('r0x1c2'), { kind: 'raw', config: 0x1c2n });
});

test('every suggested name is a name of an event', (t) => {
  for (const name of SYMBOLIC_NAMES) t.truthy(symbolicSource(name), name);
});

test('names of Object are not events', (t) => {
  for (const name of ['constructor', '__proto__', 'toString', '', 'r', 'r12345678901234567'])
    t.is(symbolicSource(name), undefined, name);
});
