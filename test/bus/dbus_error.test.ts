import test from 'ava';
import { CallError, errorReply } from '#dist/bus/dbus_error.js';
import { VarlinkError } from '#dist/client/errors.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import { ValidationError } from '#dist/varlink/validate.js';

test('an exception becomes a name and a message for the caller, and never a stack', (t) => {
  const denied = errorReply(brokerError('Unavailable', 'not-running', 'nobody there'));
  t.is(denied.name, 'org.perfbroker.Broker1.Error.Unavailable');
  t.regex(denied.message, /^nobody there \(not-running\)\n/);
  t.is(errorReply(new CallError('UnknownMethod', 'x')).name, 'org.freedesktop.DBus.Error.UnknownMethod');
  t.is(errorReply(new ValidationError('a.b', 'is odd')).message, 'a.b: is odd');
  t.regex(
    errorReply(new VarlinkError('org.varlink.service.InvalidParameter', { parameter: 'cpus' })).message,
    /does not take cpus/,
  );
  for (const inner of [new TypeError('secret'), 'secret', null, new VarlinkError('a.b', { secret: 1 })]) {
    const reply = errorReply(inner);
    t.is(reply.name, 'org.freedesktop.DBus.Error.Failed');
    t.true(reply.internal);
    t.notRegex(reply.message, /secret|at /);
  }
  const long = errorReply(new CallError('Failed', `\0${'x'.repeat(5000)}`));
  t.true(long.message.length < 2100);
  t.false(long.message.includes('\0'));
});
