import test from 'ava';
import { helperMessageLine } from '#dist/broker/ipc/helper_message.js';

test('a line names the helper, the worker, the kind of request, its outcome and the time', (t) => {
  t.is(
    helperMessageLine('opener', { kind: 'open', worker: 3, outcome: 'answered', ms: 2.06 }),
    'opener worker 3: open answered, 2.1 ms',
  );
  t.is(
    helperMessageLine('tracer', { kind: 'downgrade', worker: 1, outcome: 'late', ms: 15_000 }),
    'tracer worker 1: downgrade late, 15000.0 ms',
  );
});
