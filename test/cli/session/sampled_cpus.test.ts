import test from 'ava';
import { UsageError } from '#dist/cli/failure.js';
import { requireOnline, sampledCpus } from '#dist/cli/session/sampled_cpus.js';
import type { Client } from '#dist/client/index.js';

const client = { describe: () => Promise.resolve({ onlineCpus: [0, 2, 5] }) } as unknown as Client;

test('the cpus of a session are all that the broker reports, or those of -C', async (t) => {
  t.deepEqual(await sampledCpus(client, undefined), { cpus: [0, 2, 5], cpusOnline: 3 });
  t.deepEqual(await sampledCpus(client, [5]), { cpus: [5], cpusOnline: 3 });
});

test('a cpu of -C that the broker does not report is refused by name', async (t) => {
  for (const check of [sampledCpus, requireOnline])
    await t.throwsAsync(check(client, [0, 1, 3]), { instanceOf: UsageError, message: '--cpu: not online: 1, 3' });
});

test('a session without -C asks the broker nothing', async (t) => {
  const none = { describe: () => Promise.reject(new Error('asked')) } as unknown as Client;
  await t.notThrowsAsync(requireOnline(none, undefined));
});
