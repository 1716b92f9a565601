/** The broker's side of a question: only a clear yes is a yes. */
import { openSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Authorizer, type Answer, type Question } from '#dist/broker/ipc/authorizer.js';
import { SubordinateUids } from '#dist/model/identity/subordinate_uids.js';
import type { Subject } from '#dist/model/identity/subject.js';
import { FakeAuthorizer, NO, YES, type Behaviour } from '../../e2e/fake_authorizer.js';

const ME = process.getuid?.() ?? 0;

const subject = (uid = 1000): Subject => ({
  pid: 4711,
  startTime: 12345678901234n,
  uid,
  gid: uid,
  groups: [],
  permitted: 0n,
  sameUserNamespace: true,
  mayBeMany: false,
  asConnected: true,
  ownIds: true,
  dumpable: true,
  cgroup: '/',
  executable: '/bin/true',
});

const question = (changes: Partial<Question> = {}): Question => ({
  subject: subject(),
  busName: null,
  action: 'sample-own',
  details: { target: 'pid 1' },
  interactive: false,
  ...changes,
});

const never = (): AbortSignal => new AbortController().signal;

interface Pair {
  readonly authorizer: Authorizer;
  readonly fake: FakeAuthorizer;
}

/** Deadlines are long where they are not what is tested: the machine may be busy. */
function pair(
  t: ExecutionContext,
  behaviour: Behaviour,
  { listeners = [ME], interactiveMs = 20_000, otherwiseMs = 20_000 } = {},
): Pair {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-test-'));
  const fake = new FakeAuthorizer(join(directory, 'broker.sock'), behaviour);
  const authorizer = new Authorizer({
    path: fake.path,
    listeners,
    subordinateUids: new SubordinateUids(),
    interactiveMs,
    otherwiseMs,
  });
  t.teardown(() => {
    authorizer.close();
    fake.close();
    rmSync(directory, { recursive: true });
  });
  return { authorizer, fake };
}

const openFds = (): number => readdirSync('/proc/self/fd').length;

test('a question has the subject, the action and a flag that allows a dialog; 64-bit numbers are strings', async (t) => {
  const { authorizer, fake } = pair(t, (asked) => asked.answer(YES));
  t.deepEqual(await authorizer.ask(question({ interactive: true }), never()), { kind: 'authorized', detail: '' });
  t.deepEqual(fake.questions, [
    {
      subject: { uid: 1000, pid: 4711, startTime: '12345678901234' },
      action: 'org.perfbroker.sample-own',
      details: { target: 'pid 1' },
      interactive: true,
    },
  ]);
  await authorizer.ask(question({ busName: ':1.42' }), never());
  t.is(fake.questions[1]?.subject.busName, ':1.42');
});

const answers: [string, Behaviour, Answer['kind']][] = [
  ['no', (asked) => asked.answer(NO), 'refused'],
  ['a challenge', (asked) => asked.answer({ ...NO, challenge: true }), 'challenge'],
  ['a dismissal', (asked) => asked.answer({ ...NO, challenge: true, dismissed: true }), 'dismissed'],
  [
    'an error',
    (asked) => asked.send('{"error":"org.perfbroker.Authorizer.Unavailable","parameters":{"message":"no bus"}}\0'),
    'unavailable',
  ],
  [
    'authorized as a string',
    (asked) => asked.send('{"parameters":{"authorized":"true","challenge":false,"dismissed":false}}\0'),
    'unavailable',
  ],
  [
    'authorized as a number',
    (asked) => asked.send('{"parameters":{"authorized":1,"challenge":false,"dismissed":false}}\0'),
    'unavailable',
  ],
  ['a yes without the other fields', (asked) => asked.send('{"parameters":{"authorized":true}}\0'), 'unavailable'],
  [
    'a yes with a field too many',
    (asked) => asked.send('{"parameters":{"authorized":true,"challenge":false,"dismissed":false,"temporary":true}}\0'),
    'unavailable',
  ],
  [
    'a yes that another answer is to follow',
    (asked) => asked.send(`{"continues":true,"parameters":${JSON.stringify(YES)}}\0`),
    'unavailable',
  ],
  [
    'an error that says yes as well',
    (asked) => asked.send(`{"error":"org.perfbroker.Authorizer.Unavailable","parameters":${JSON.stringify(YES)}}\0`),
    'unavailable',
  ],
  [
    'no before yes',
    (asked) => asked.send(`{"parameters":${JSON.stringify(NO)}}\0{"parameters":${JSON.stringify(YES)}}\0`),
    'refused',
  ],
  ['nothing but an end', (asked) => asked.send('\0'), 'unavailable'],
  ['garbage', (asked) => asked.send('yes!\0'), 'unavailable'],
  ['16 KiB and more', (asked) => asked.send(`"${'x'.repeat(20_000)}`), 'unavailable'],
  ['nothing at all', () => undefined, 'timed-out'],
];
for (const [title, behaviour, kind] of answers) {
  test(`${title} is ${kind}, not a yes`, async (t) => {
    const { authorizer } = pair(t, behaviour, kind === 'timed-out' ? { otherwiseMs: 100 } : {});
    t.is((await authorizer.ask(question(), never())).kind, kind);
    t.is(authorizer.pending, 0);
  });
}

test.serial('an answer with fds is invalid, and the fds are closed', async (t) => {
  const { authorizer } = pair(t, (asked) => {
    const fd = openSync('/dev/null', 'r');
    asked.send(`{"parameters":${JSON.stringify(YES)}}\0`, [fd, fd, fd]);
  });
  await authorizer.ask(question(), never());
  const before = openFds();
  for (let round = 0; round < 5; round++) t.is((await authorizer.ask(question(), never())).kind, 'unavailable');
  await new Promise((resolve) => setTimeout(resolve, 100));
  // The sender's own copy stays open, one a round.
  t.true(openFds() - before <= 5 + 1, `${openFds() - before} more fds`);
});

test('a dialog is given more time than polkit by itself', async (t) => {
  const { authorizer } = pair(t, (asked) => void setTimeout(() => asked.answer(YES), 1000), { otherwiseMs: 300 });
  t.is((await authorizer.ask(question(), never())).kind, 'timed-out');
  t.is((await authorizer.ask(question({ interactive: true }), never())).kind, 'authorized');
});

test('a socket without a listener does not authorize, and the answer names the socket', async (t) => {
  const authorizer = new Authorizer({
    path: '/nonexistent/authorizer.sock',
    listeners: [ME],
    subordinateUids: new SubordinateUids(),
  });
  const answer = await authorizer.ask(question(), never());
  t.is(answer.kind, 'unavailable');
  t.regex(answer.detail, /authorizer\.sock: ENOENT/);
});

test('a listener of another uid is not asked', async (t) => {
  const { authorizer, fake } = pair(t, (asked) => asked.answer(YES), { listeners: [ME + 1] });
  const answer = await authorizer.ask(question(), never());
  t.is(answer.kind, 'unavailable');
  t.regex(answer.detail, /belongs to uid/);
  t.deepEqual(fake.questions, []);
});

test('a withdrawn question is disconnected and does not authorize', async (t) => {
  let over: Promise<void> = Promise.resolve();
  const { authorizer, fake } = pair(t, (asked) => {
    ({ over } = asked);
  });
  const controller = new AbortController();
  const answer = authorizer.ask(question({ interactive: true }), controller.signal);
  while (fake.questions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  t.is((await answer).kind, 'withdrawn');
  await over;
  t.is((await authorizer.ask(question(), controller.signal)).kind, 'withdrawn', 'nor is one asked for who has gone');
});

test('a user has 4 pending questions at most, and other users can still ask', async (t) => {
  const { authorizer } = pair(t, (asked) => void setTimeout(() => asked.answer(YES), 500));
  const open = Array.from({ length: 4 }, () => authorizer.ask(question(), never()));
  t.is((await authorizer.ask(question(), never())).kind, 'too-many');
  t.is((await authorizer.ask(question({ subject: subject(1001) }), never())).kind, 'authorized');
  t.deepEqual(new Set((await Promise.all(open)).map(({ kind }) => kind)), new Set(['authorized']));
  t.is((await authorizer.ask(question(), never())).kind, 'authorized');
});

test('64 questions are pending at most', async (t) => {
  const { authorizer } = pair(t, () => undefined);
  const open = Array.from({ length: 64 }, (_, index) => authorizer.ask(question({ subject: subject(index) }), never()));
  t.is((await authorizer.ask(question({ subject: subject(5000) }), never())).kind, 'too-many');
  authorizer.close();
  t.deepEqual(new Set((await Promise.all(open)).map(({ kind }) => kind)), new Set(['withdrawn']));
  t.is((await authorizer.ask(question(), never())).kind, 'withdrawn', 'closed for good');
});
