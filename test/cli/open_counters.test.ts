import test from 'ava';
import { openCounters, type CountRequest } from '#dist/cli/open_counters.js';
import type { Client } from '#dist/client/index.js';
import type { OpenEvents } from '#dist/collector/event_opener.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { brokerError } from '#dist/model/errors/error_table.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { fakeGrant } from '../collector/count/fake_counters.js';

type Sent = OpenEvents & { readonly allowInteractive: boolean };

/** A broker that refuses kernel mode with `refusal`, and notes each request. */
function brokerWith(refusal: Error | null, pmus: readonly string[] = []): { client: Client; sent: Sent[] } {
  const sent: Sent[] = [];
  const client = {
    describe: () => Promise.resolve({ pmus: pmus.map((name) => ({ name })) }),
    open: (request: Sent) => {
      sent.push(request);
      const kernel = request.events.some(({ exclude }) => !exclude.includes('kernel'));
      return kernel && refusal !== null ? Promise.reject(refusal) : Promise.resolve(fakeGrant([]));
    },
  } as unknown as Client;
  return { client, sent };
}

const request: CountRequest = {
  targets: [{ system: true }],
  inherit: false,
  enableOnExec: false,
  interactive: true,
  interrupt: new AbortController().signal,
};
const denied = brokerError('PolicyDenied', 'no-rule', 'no rule allows it');

test('the default events include kernel mode, and those of a cpu PMU where there is one', async (t) => {
  const soft = await openCounters(brokerWith(null, ['software']).client, request);
  t.is(soft.events.length, 4);
  const both = await openCounters(brokerWith(null, ['software', 'cpu_core']).client, request);
  t.is(both.events.length, 8);
  t.true(both.events.every(({ exclude }) => !exclude.includes('kernel')));
});

test('where kernel mode is denied the default events are those of user mode, and only for these there is a prompt', async (t) => {
  const { client, sent } = brokerWith(denied);
  const { events } = await openCounters(client, request);
  t.true(events.every(({ exclude }) => exclude.includes('kernel')));
  t.deepEqual(
    sent.map(({ allowInteractive }) => allowInteractive),
    [false, true],
  );
});

test('named events are counted unchanged, or not at all', async (t) => {
  const { client, sent } = brokerWith(denied);
  await t.throwsAsync(openCounters(client, { ...request, events: parseEvents('page-faults') }), {
    instanceOf: BrokerError,
  });
  t.is(sent.length, 1);
  t.true(sent[0]?.allowInteractive);
});

test('another failure than a denial is not tried again', async (t) => {
  const { client, sent } = brokerWith(brokerError('Unavailable', 'connection-lost', 'gone'));
  await t.throwsAsync(openCounters(client, request), { message: 'gone' });
  t.is(sent.length, 1);
});
