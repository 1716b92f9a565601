import test from 'ava';
import { BrokerError } from '#dist/model/errors/errors.js';

test('an error without errno and details has errno 0 and empty details', (t) => {
  const error = new BrokerError('TargetGone', 'exited', 'process 7 has ended', { cause: 'c', remedy: 'r' });
  t.like(error, { name: 'BrokerError', error: 'TargetGone', code: 'exited', errno: 0, explanation: 'c', remedy: 'r' });
  t.deepEqual(error.details, {});
  t.is(error.cause, undefined, 'cause stays what JavaScript means by it');
});
