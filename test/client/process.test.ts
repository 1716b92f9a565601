import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { FakeBroker } from './fake_broker.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Another process, with the library imported by the package's own name. */
function collector(script: string, socket: string, options: { uid?: number; gid?: number } = {}): Promise<string> {
  const text = `import { connect, BrokerError } from 'perfbroker';\n${script}`;
  const env = { PERFBROKER_SOCKET: socket };
  return run(process.execPath, ['--input-type=module', '-e', text], {
    cwd: ROOT,
    env,
    timeout: 20_000,
    ...options,
  }).then(({ stdout }) => stdout.trim());
}

test('a client that forgets to close does not keep its process alive', async (t) => {
  const broker = new FakeBroker({
    Revoke: (_call, reply) => void reply.reply({ fds: 0, disabled: 0, kept: 'nothing' }),
  });
  const script = `const client = await connect(); console.log((await client.revoke('g')).kept);`;
  t.is(await collector(script, broker.path), 'nothing');
  broker.close();
});

test('the error for a user that may not connect says so', async (t) => {
  if (process.getuid?.() !== 0) {
    t.log('skipped: needs root, to become another user');
    t.pass();
    return;
  }
  const broker = new FakeBroker({});
  chmodSync(broker.path, 0o600);
  const script = `try { await connect(); } catch (error) { console.log(error instanceof BrokerError, error.code, error.errno); }`;
  t.is(await collector(script, broker.path, { uid: 60_132, gid: 60_132 }), 'true no-access 13');
  broker.close();
});
