/** `perfbroker explain` asks about the same events and targets that the command with these options would open. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { noPrivilege, ROOT, startDaemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

async function explain(t: ExecutionContext, ceiling: string, ...args: string[]): Promise<Map<string, string>> {
  const daemon = await startDaemon({ args: ['--ceiling', ceiling] });
  t.teardown(() => daemon.stop());
  const env = { ...process.env, PERFBROKER_SOCKET: daemon.socket };
  const text = await new Promise<string>((resolve) => {
    // A denial ends with 1.
    execFile(join(ROOT, 'dist/bin/perfbroker'), ['explain', ...args], { env }, (_, stdout) => resolve(stdout));
  });
  return new Map([...text.matchAll(/^(\w+): +(.*)$/gm)].map(([, key = '', value = '']) => [key, value]));
}

const SOFTWARE = ['task-clock', 'context-switches', 'cpu-migrations', 'page-faults'];

privileged('explain --stat asks about the default events of stat, with kernel mode where it is allowed', async (t) => {
  const answer = await explain(t, 'user,kernel', '--stat');
  t.is(answer.get('verdict'), 'allow');
  t.deepEqual(answer.get('events')?.split(', ').slice(0, 4), SOFTWARE);
  t.is(answer.get('classes'), 'user, kernel');
  t.regex(answer.get('limits') ?? '', /ring \d+ [KM]iB, .*lease \d+ h/, 'as policy check has them');
});

privileged('explain --stat asks about the default events in user mode where kernel mode is not allowed', async (t) => {
  const answer = await explain(t, 'user', '--stat');
  t.is(answer.get('verdict'), 'allow');
  t.deepEqual(
    answer.get('events')?.split(', ').slice(0, 4),
    SOFTWARE.map((name) => `${name}:u`),
  );
  t.is(answer.get('classes'), 'user');
});

privileged('explain --stat asks about the named events unchanged', async (t) => {
  const answer = await explain(t, 'user', '--stat', '-e', 'task-clock');
  t.is(answer.get('verdict'), 'deny');
  t.false(answer.has('events'));
});
