/** Requests to a native helper process, which its workers answer, each on a channel of its own. */
import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { NO_LOCK, type LockScope } from '#dist/broker/ipc/lock_scope.js';
import { HelperClient, MAX_RUNNING, MAX_WORKERS_PER_USER, NO_USER } from '#dist/broker/ipc/helper_client.js';
import type { HelperReply, HelperSession } from '#dist/broker/ipc/helper_session.js';
import { MAX_LATE_PER_OWNER } from '#dist/broker/ipc/late_sessions.js';
import { native, type Fd } from '#dist/native.js';

const WAITING = 256;
const MOST_LATE = 6;

interface Message {
  readonly serial: number;
}

/** A worker's end of a channel. */
class Worker {
  readonly channel: Fd;

  constructor(channel: Fd) {
    this.channel = channel;
  }

  /** The next request's serial, which is there already. */
  take(): number {
    const buffer = new Uint8Array(5);
    if (native.receiveMessage(this.channel, buffer) === null) throw new Error('there is no request');
    return Buffer.from(buffer).readUInt32LE();
  }

  answer(serial = this.take(), fds: readonly Fd[] = []): void {
    native.sendMessage(this.channel, message(serial, fds.length), fds);
  }

  /** True when the client has closed its end of the channel. */
  get released(): boolean {
    return native.receiveMessage(this.channel, new Uint8Array(5))?.bytes === 0;
  }

  end(): void {
    native.close(this.channel);
  }
}

interface Begun {
  readonly session: HelperSession<Message>;
  readonly worker: Worker;
}

/** A helper whose workers answer only when a test calls `answer`; a message is its serial and a number of fds. */
class FakeHelper {
  readonly client: HelperClient<Message>;
  readonly #socket: Fd;
  dead: string | null = null;
  /** Reported for the log. */
  readonly reported: string[] = [];

  constructor({ deadlineMs = 60_000, mostWorkers = 40, reset = false } = {}) {
    const [ours, theirs] = native.socketPair('seqpacket');
    this.#socket = theirs;
    this.client = new HelperClient<Message>(ours, {
      protocol: {
        messageBytes: 5,
        decode: (bytes) => ({ serial: Buffer.from(bytes).readUInt32LE(), fdCount: bytes[4] ?? 0 }),
        isLast: () => true,
        ...(reset ? { encodeReset: (serial: number) => message(serial) } : {}),
      },
      codes: { gone: 'opener-gone', busy: 'opener-busy', late: 'opener-late' },
      onDeath: (reason) => (this.dead = reason),
      onMessage: ({ kind, worker, outcome }) => this.reported.push(`${worker}: ${kind} ${outcome}`),
      deadlineMs,
      mostWorkers,
      mostLate: MOST_LATE,
    });
  }

  /** The next channel; null when none is there. */
  next(): Worker | null {
    const received = native.receiveMessage(this.#socket, new Uint8Array(1));
    return received === null ? null : new Worker(received.fds[0]!);
  }

  /** A session of a user, and its worker. */
  async begin(user: number, scopes: readonly LockScope[] = []): Promise<Begun> {
    const session = await this.client.begin(user, scopes);
    return { session, worker: this.next()! };
  }

  /** A request that has become late, and was released by its caller. */
  async late(t: ExecutionContext, user: number, scope: LockScope): Promise<Begun> {
    const begun = await this.begin(user, [scope]);
    await t.throwsAsync(ask(begun.session, { scope }), { message: /not been finished within/ });
    void begun.session.endWorker();
    return begun;
  }

  sayOnSocket(bytes: Uint8Array): void {
    native.sendMessage(this.#socket, bytes, []);
  }

  /** The helper process ends. */
  endHelper(): void {
    native.close(this.#socket);
  }

  end(): void {
    this.client.close();
    this.endHelper();
  }
}

function ask(
  session: HelperSession<Message>,
  options: { readonly scope?: LockScope; readonly onLate?: (messages: readonly Message[]) => void } = {},
): Promise<HelperReply<Message>> {
  return session.request({ kind: 'open', encode: (serial) => message(serial), scope: NO_LOCK, fds: [], ...options });
}

/** A process of a user. */
function ofProcess(owner: number, pid: number): LockScope {
  return { targets: [`process ${pid}`], owner };
}

function ofCpus(...cpus: readonly number[]): LockScope {
  return { targets: cpus.map((cpu) => `cpu ${cpu}`), owner: NO_LOCK.owner };
}

function message(serial: number, fds = 0): Uint8Array {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32LE(serial);
  bytes[4] = fds;
  return bytes;
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function until(t: ExecutionContext, what: string, done: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  t.true(done(), what);
}

test('a user has one session under way, and other users do not wait for it', async (t) => {
  const helper = new FakeHelper();
  const first = await helper.begin(1);
  const second = helper.client.begin(1, []);
  const other = await helper.begin(2);
  t.is(helper.next(), null, 'the second of the same user waits');
  const [asked, others] = [ask(first.session), ask(other.session)];
  other.worker.answer();
  t.is((await others).first.serial, 1);
  first.worker.answer();
  await asked;
  void first.session.endWorker();
  const session = await second;
  const worker = helper.next()!;
  const last = ask(session);
  worker.answer();
  await last;
  for (const each of [first.worker, other.worker, worker]) each.end();
  helper.end();
});

test('a late request costs its user that target until the worker ends, and nothing else', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const [target, own] = [ofProcess(2, 10), ofProcess(1, 11)];
  const late: Message[] = [];
  const { session, worker } = await helper.begin(1, [target]);
  const asked = ask(session, { scope: target, onLate: (messages) => late.push(...messages) });
  await t.throwsAsync(asked, { message: /the request has not been finished within 20 ms/ });
  void session.endWorker();
  const refusal = { message: /an earlier request about process 10 has not been finished/ };
  await t.throwsAsync(helper.client.begin(1, [own, target]), refusal);
  const served = [await helper.begin(1, [own]), await helper.begin(3, [target])];
  for (const each of served) {
    const answer = ask(each.session);
    each.worker.answer();
    t.is((await answer).first.serial, 1);
    each.session.done();
  }
  worker.answer(1);
  await until(t, 'the late answer is handed on', () => late.length === 1);
  t.is(late[0]!.serial, 1);
  await t.throwsAsync(helper.client.begin(1, [target]), refusal, 'its worker is still there');
  worker.end();
  await turns();
  const again = await helper.begin(1, [target]);
  t.is(helper.dead, null);
  for (const each of [...served, again]) each.worker.end();
  helper.end();
});

test('a late request about cpus costs its user these cpus', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const { worker } = await helper.late(t, 1, ofCpus(0, 1));
  await t.throwsAsync(helper.client.begin(1, [ofCpus(1, 2)]), { message: /about cpu 1 has not been finished/ });
  const other = await helper.begin(1, [ofCpus(2, 3)]);
  for (const each of [worker, other.worker]) each.end();
  helper.end();
});

test('several late requests about targets of one owner cost their user all targets of that owner', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const late: Begun[] = [];
  for (let pid = 0; pid < MAX_LATE_PER_OWNER; pid++) late.push(await helper.late(t, 1, ofProcess(2, pid)));
  const fresh = ofProcess(2, 100);
  const refusal = { message: /4 earlier requests about processes of the user of process 100 have not been finished/ };
  await t.throwsAsync(helper.client.begin(1, [fresh]), refusal);
  const served = [await helper.begin(1, [ofProcess(1, 100)]), await helper.begin(3, [fresh])];
  served[0]!.session.done();
  late[0]!.worker.end();
  await turns();
  served.push(await helper.begin(1, [fresh]));
  for (const each of [...late.slice(1), ...served]) each.worker.end();
  helper.end();
});

test('a user with too many late requests is refused everything until one of their workers ends', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const late: Begun[] = [];
  for (let pid = 0; pid < MOST_LATE; pid++) late.push(await helper.late(t, 1, ofProcess(100 + pid, pid)));
  const own = ofProcess(1, 50);
  const refusal = { message: /6 earlier requests of this user have not been finished/ };
  await t.throwsAsync(helper.client.begin(1, [own]), refusal);
  late[0]!.worker.end();
  await turns();
  const again = await helper.begin(1, [own]);
  for (const each of [...late.slice(1), again]) each.worker.end();
  helper.end();
});

test('of the requests that wait behind a late one only those about its target are refused', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const [target, own] = [ofProcess(2, 10), ofProcess(1, 11)];
  const { session, worker } = await helper.begin(1, [own, target]);
  const refused = t.throwsAsync(helper.client.begin(1, [target]), { message: /about process 10 has not been/ });
  const waiting = [helper.client.begin(1, [own]), helper.client.begin(1, [])];
  await t.throwsAsync(ask(session, { scope: target }), { message: /not been finished within/ });
  await refused;
  (await waiting[0]!).done();
  await waiting[1];
  for (const each of [worker, helper.next()!, helper.next()!]) each.end();
  helper.end();
});

test('late requests count as workers, of their user and of all users', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const begun: Begun[] = [await helper.late(t, 1, ofProcess(2, 10))];
  const hold = async (user: number): Promise<void> => {
    const one = await helper.begin(user);
    one.session.done();
    begun.push(one);
  };
  while (begun.length < MAX_WORKERS_PER_USER) await hold(1);
  await t.throwsAsync(helper.client.begin(1, []), { message: /31 .* hold rings, and 1 have not been finished/ });
  while (begun.length < 40) await hold(3);
  await t.throwsAsync(helper.client.begin(4, []), { message: /40 workers are taken/ });
  begun.shift()!.worker.end();
  await turns();
  await hold(4);
  for (const each of begun) each.worker.end();
  helper.end();
});

test('late requests of many users leave room for sessions of other users', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20, mostWorkers: 2 * MAX_RUNNING });
  const users = Array.from({ length: MAX_RUNNING }, (_, user) => user);
  const late = await Promise.all(users.map((user) => helper.late(t, user, ofProcess(user, 10))));
  const other = await helper.begin(MAX_RUNNING);
  for (const each of [...late, other]) each.worker.end();
  helper.end();
});

test('fds of a late answer are closed before its worker is released', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const { session, worker } = await helper.begin(1);
  const [ours, theirs] = native.socketPair('stream');
  const late = new Promise<boolean>((resolve) => {
    const onLate = (): void => resolve(native.receiveMessage(ours, new Uint8Array(1))?.bytes === 0);
    const asked = ask(session, { onLate });
    void t.throwsAsync(asked, { message: /not been finished/ }).then(() => {
      void session.endWorker();
      worker.answer(worker.take(), [theirs]);
      native.close(theirs);
    });
  });
  t.true(await late, 'no copy is left');
  await until(t, 'and then it is let go', () => worker.released);
  native.close(ours);
  worker.end();
  helper.end();
});

test('a release lets the worker end, and resolves when it has ended', async (t) => {
  const helper = new FakeHelper();
  const { session, worker } = await helper.begin(1);
  const state = { released: false };
  const released = session.endWorker().then(() => (state.released = true));
  t.true(worker.released);
  await turns();
  t.false(state.released);
  worker.end();
  await released;
  helper.end();
});

test('workers that hold rings are limited for each user, and sessions wait for workers that are ending', async (t) => {
  const helper = new FakeHelper();
  const held: { session: HelperSession<Message>; worker: Worker }[] = [];
  for (let i = 0; i < MAX_WORKERS_PER_USER; i++) {
    const one = await helper.begin(1);
    one.session.done();
    held.push(one);
  }
  await t.throwsAsync(helper.client.begin(1, []), { message: /hold rings/ });
  const other = await helper.begin(2);
  void held[0]!.session.endWorker();
  const next = helper.client.begin(1, []);
  await turns();
  t.is(helper.next(), null, 'the worker has not ended yet');
  held[0]!.worker.end();
  await next;
  const worker = helper.next()!;
  for (const each of [...held.slice(1).map((one) => one.worker), worker, other.worker]) each.end();
  helper.end();
});

test('workers are limited for all users together, and the watchdog finds one', async (t) => {
  const helper = new FakeHelper();
  const workers: Worker[] = [];
  for (let i = 0; i < 40; i++) {
    const { session, worker } = await helper.begin(100 + (i % 2));
    session.done();
    workers.push(worker);
  }
  await t.throwsAsync(helper.client.begin(1, []), { message: /40 workers are taken/ });
  const { worker } = await helper.begin(NO_USER);
  for (const each of [...workers, worker]) each.end();
  await turns();
  const again = await helper.begin(1);
  again.worker.end();
  helper.end();
});

test('sessions that wait are limited for each user', async (t) => {
  const helper = new FakeHelper();
  const { worker } = await helper.begin(1);
  const all = Array.from({ length: WAITING }, () => helper.client.begin(1, []));
  await t.throwsAsync(helper.client.begin(1, []), { message: /waiting already/ });
  helper.end();
  for (const one of all) await t.throwsAsync(one, { message: /ended/ });
  worker.end();
});

test('a worker that ends without an answer fails its request, and nothing else', async (t) => {
  const helper = new FakeHelper();
  const { session, worker } = await helper.begin(1);
  const lost = ask(session);
  worker.end();
  await t.throwsAsync(lost, { message: /without an answer/ });
  await t.throwsAsync(ask(session), { message: /without an answer/ });
  const next = await helper.begin(1);
  t.is(helper.dead, null);
  next.worker.end();
  helper.end();
});

test('when the helper is gone everything is refused', async (t) => {
  const helper = new FakeHelper();
  const { session, worker } = await helper.begin(1);
  const asked = ask(session);
  helper.end();
  await t.throwsAsync(asked, { message: /ended/ });
  await t.throwsAsync(helper.client.begin(1, []), { message: /ended/ });
  worker.end();
});

test('an answer to another request, a second answer, or a message without a request breaks the protocol', async (t) => {
  const wrong: readonly ((helper: FakeHelper, worker: Worker) => void)[] = [
    (_, worker) => worker.answer(4711),
    (_, worker) => {
      worker.answer(1);
      worker.answer(1);
    },
    (helper) => helper.sayOnSocket(message(1)),
  ];
  for (const [index, act] of wrong.entries()) {
    const helper = new FakeHelper();
    const { session, worker } = await helper.begin(1);
    const asked = ask(session).catch(() => undefined);
    act(helper, worker);
    await asked;
    await until(t, `case ${index}`, () => helper.dead !== null);
    worker.end();
    helper.end();
  }
});

/** Holds up the event loop until timers of `ms` are due; they come before what sockets have. */
async function blockLoop(ms: number): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * ms);
}

test('an answer that waits in the socket when the deadline passes is in time', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 20 });
  const { session, worker } = await helper.begin(1);
  const asked = ask(session);
  worker.answer();
  await blockLoop(20);
  t.is((await asked).first.serial, 1);
  worker.end();
  helper.end();
});

test('an answer whose fds do not fit fails only that request', (t) => {
  // In a process of its own, as it is the whole process that has no room.
  const script = `
    import { openSync } from 'node:fs';
    import { HelperClient } from '#dist/broker/ipc/helper_client.js';
    import { native } from '#dist/native.js';
    const [ours, theirs] = native.socketPair('seqpacket');
    const decode = (bytes) => ({ serial: Buffer.from(bytes).readUInt32LE(), fdCount: bytes[4] });
    let dead = null;
    const client = new HelperClient(ours, {
      protocol: { messageBytes: 5, decode, isLast: () => true },
      codes: { gone: 'opener-gone', busy: 'opener-busy', late: 'opener-late' },
      onDeath: (why) => (dead = why),
      deadlineMs: 60000,
      mostWorkers: 40,
      mostLate: 6,
    });
    const message = (serial, fds) => { const bytes = Buffer.alloc(5); bytes.writeUInt32LE(serial); bytes[4] = fds; return bytes; };
    const sessions = [await client.begin(1, []), await client.begin(2, [])];
    const asked = sessions.map((session) => session.request({ kind: 'open', encode: (serial) => message(serial, 0), scope: null, fds: [] }));
    const channels = sessions.map(() => native.receiveMessage(theirs, new Uint8Array(1)).fds[0]);
    const filler = [];
    const given = [openSync('/dev/null'), openSync('/dev/null')];
    try { for (;;) filler.push(native.duplicate(0)); } catch {}
    native.close(filler.pop()); // room for one of two
    const open = filler.length;
    native.sendMessage(channels[0], message(1, 2), given);
    const failure = await asked[0].catch((error) => error);
    native.sendMessage(channels[1], message(1, 0), []);
    await asked[1];
    // The one that came of the two has been closed.
    filler.push(native.duplicate(0));
    console.log(failure.message, dead, filler.length - open);
    process.exit(0);
  `;
  const run = spawnSync(
    'sh',
    ['-c', 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8' },
  );
  t.is(run.stdout, 'the fds of the answer: recvmsg refused with EMFILE null 1\n', run.stderr);
});

test('sessions for which there is no channel are refused, and so are those that wait behind them', (t) => {
  const script = `
    import { HelperClient } from '#dist/broker/ipc/helper_client.js';
    import { native } from '#dist/native.js';
    const [ours] = native.socketPair('seqpacket');
    const client = new HelperClient(ours, {
      protocol: { messageBytes: 1, decode: () => ({ serial: 0 }), isLast: () => true },
      codes: { gone: 'opener-gone', busy: 'opener-busy', late: 'opener-late' },
      onDeath: (why) => console.log(why),
      deadlineMs: 60000,
      mostWorkers: 40,
      mostLate: 6,
    });
    const first = await client.begin(1, []);
    const waiting = [client.begin(1, []), client.begin(1, [])].map((one) => one.then(() => 'begun', ({ code }) => code));
    try { for (;;) native.duplicate(0); } catch {}
    first.done();
    console.log((await Promise.all(waiting)).join());
    process.exit(0);
  `;
  const run = spawnSync(
    'sh',
    ['-c', 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8' },
  );
  t.is(run.stdout, 'EMFILE,EMFILE\n', run.stderr);
});

test('a worker that has closed its fds serves the next session, of any user', async (t) => {
  const helper = new FakeHelper({ reset: true });
  const first = await helper.begin(1);
  const asked = ask(first.session);
  first.worker.answer();
  await asked;
  const given = first.session.release();
  const other = await helper.begin(2);
  t.not(other.worker, null, 'it has not answered yet: the other user gets another worker');
  first.worker.answer();
  await given;
  const session = await helper.client.begin(3, []);
  t.is(helper.next(), null);
  const next = ask(session);
  first.worker.answer();
  t.is((await next).first.serial, 3);
  void session.endWorker();
  t.true(first.worker.released, 'a session can end its worker');
  helper.end();
});

test('a worker that cannot close its fds counts for its user until it has', async (t) => {
  const helper = new FakeHelper({ reset: true });
  const workers: Worker[] = [];
  for (let count = 0; count < MAX_WORKERS_PER_USER; count++) {
    const { session, worker } = await helper.begin(1);
    void session.release();
    workers.push(worker);
  }
  const waiting = helper.client.begin(1, []);
  await turns();
  t.is(helper.next(), null);
  workers[5]!.answer();
  const session = await waiting;
  t.is(helper.next(), null, 'it has the worker that answered');
  const asked = ask(session);
  workers[5]!.answer();
  await asked;
  helper.end();
});

test('an idle worker is ended after a moment, and one that has ended is not used', async (t) => {
  const helper = new FakeHelper({ reset: true });
  const idle = async (): Promise<Worker> => {
    const { session, worker } = await helper.begin(1);
    const given = session.release();
    worker.answer();
    await given;
    return worker;
  };
  const ended = await idle();
  ended.end();
  await turns();
  const second = await idle();
  await until(t, 'it is let go', () => second.released);
  const third = await helper.begin(1);
  t.not(third.worker, null);
  helper.end();
});

test('two idle workers are kept at most, and the watchdog gets a new one', async (t) => {
  const helper = new FakeHelper({ reset: true });
  const begun = [await helper.begin(1), await helper.begin(2), await helper.begin(3)];
  for (const { session, worker } of begun) {
    const given = session.release();
    worker.answer();
    await given;
  }
  t.true(begun[2]!.worker.released);
  const own = await helper.begin(NO_USER);
  t.not(own.worker, null);
  helper.end();
});

test('a worker whose answer found no room is not forgotten while it lives', async (t) => {
  const helper = new FakeHelper({ reset: true, mostWorkers: 1 });
  const { session, worker } = await helper.begin(1);
  // Its release has been sent already, as for fds that the kernel could not deliver.
  void session.endWorker();
  let over = false;
  void session.release().then(() => (over = true));
  await turns();
  t.false(over);
  await t.throwsAsync(helper.client.begin(2, []), { code: 'opener-busy' });
  worker.end();
  await until(t, 'it has ended', () => over);
  helper.end();
});

test('a session that begins when the helper has gone is refused', async (t) => {
  const helper = new FakeHelper();
  helper.endHelper();
  await t.throwsAsync(helper.client.begin(1, []), { code: 'opener-gone' });
  await turns();
  t.regex(helper.dead ?? '', /sendmsg/);
});

test('each request of a worker is reported once with its outcome, a late one also when its answer comes', async (t) => {
  const helper = new FakeHelper({ deadlineMs: 30, reset: true });
  const first = await helper.begin(1);
  const asked = ask(first.session);
  first.worker.answer();
  await asked;
  void first.session.release();
  first.worker.answer();
  await turns();
  const second = await helper.client.begin(2, []);
  await t.throwsAsync(ask(second), { message: /not been finished within/ });
  first.worker.answer();
  await turns();
  const third = await helper.begin(3);
  const unanswered = t.throwsAsync(ask(third.session));
  third.worker.end();
  await unanswered;
  t.deepEqual(helper.reported, [
    '1: open answered',
    '1: reset answered',
    '1: open late',
    '1: open answered late',
    '2: open failed',
  ]);
  helper.end();
});
