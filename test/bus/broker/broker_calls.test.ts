import test from 'ava';
import { BrokerCalls } from '#dist/bus/broker/broker_calls.js';
import { CallError } from '#dist/bus/dbus_error.js';
import type { Fd } from '#dist/native.js';

test('arguments with more values than the broker accepts are refused before the broker is called', async (t) => {
  const calls = new BrokerCalls('/nowhere');
  const caller = { uid: 1, pidfd: 0 as Fd, name: ':1.1', gone: new AbortController().signal };
  const ask = (count: number): Promise<unknown> =>
    calls.onBehalf(caller, 'PrepareOpen', { cpus: Array.from({ length: count }, () => 1) });
  await t.throwsAsync(ask(20_000), { instanceOf: CallError, message: /more than 16000 values/ });
  await t.throwsAsync(ask(15_000), { message: /nowhere/ });
});
