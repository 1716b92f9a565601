/** The line about a prompt for authorization, in a terminal. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ALICE, readableTree } from './as_user.js';
import { noPrivilege, skip, startDaemon } from './daemon.js';
import { FakeAuthorizer, YES, type Asked } from './fake_authorizer.js';
import { startBusy } from './target.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

const NOTICE = 'Waiting for authorization (polkit) ...';
const policy = (verdict: string): string => `
[[rule]]
name = "own"
verdict = "${verdict}"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user"]
`;

/** Counts a process of ALICE in a terminal. @returns the output, and resolves `seen` when it has the notice */
function countInTerminal(socket: string, pid: number, onText: (text: string) => void): Promise<string> {
  const command = `${join(readableTree(), 'dist/bin/perfbroker')} stat -e task-clock:u -p ${pid} --duration 0.1`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    uid: ALICE,
    gid: ALICE,
    cwd: '/',
    env: { PATH: process.env['PATH'], PERFBROKER_SOCKET: socket, SHELL: '/bin/sh' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => onText((text += chunk.toString())));
  return new Promise((resolve) => child.once('close', () => resolve(text)));
}

async function outputOf(t: ExecutionContext, verdict: string, behaviour: (asked: Asked, seen: Promise<void>) => void) {
  const daemon = await startDaemon({ policy: policy(verdict) });
  let onSeen: () => void = () => undefined;
  const seen = new Promise<void>((resolve) => (onSeen = resolve));
  const fake = new FakeAuthorizer(daemon.socket, (asked) => behaviour(asked, seen));
  const victim = await startBusy(ALICE);
  t.teardown(async () => {
    void victim.end();
    fake.close();
    await daemon.stop();
  });
  const text = await countInTerminal(daemon.socket, victim.pid, (sofar) => {
    if (sofar.includes(NOTICE)) onSeen();
  });
  return { text, questions: fake.questions.length };
}

privileged('the notice is printed while a question is open, and the answer ends the wait', async (t) => {
  if (spawnSync('script', ['--version']).error !== undefined) return skip(t, 'there is no script(1)');
  const { text, questions } = await outputOf(t, 'ask', (asked, seen) => void seen.then(() => asked.answer(YES)));
  t.true(questions > 0);
  t.is(text.split(NOTICE).length, 2, text);
  t.regex(text, /task-clock:u/);
  return undefined;
});

privileged('no notice is printed where a rule allows the request', async (t) => {
  if (spawnSync('script', ['--version']).error !== undefined) return skip(t, 'there is no script(1)');
  const { text, questions } = await outputOf(t, 'allow', () => undefined);
  t.is(questions, 0);
  t.false(text.includes(NOTICE), text);
  t.regex(text, /task-clock:u/);
  return undefined;
});
