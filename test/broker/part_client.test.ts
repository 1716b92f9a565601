/** Requests to a native part, which answers one at a time. */
import { spawnSync } from 'node:child_process';
import test from 'ava';
import { PartClient } from '#dist/broker/part_client.js';
import { native, type Fd } from '#dist/native.js';

const WAITING = 256;

/** A part that answers nothing until it is told to; messages are their serial. */
class FakePart {
  readonly client: PartClient<{ readonly serial: number }>;
  readonly #socket: Fd;
  dead: string | null = null;

  constructor(deadlineMs?: number) {
    const [ours, theirs] = native.socketPair('seqpacket');
    this.#socket = theirs;
    const decode = (bytes: Uint8Array): { serial: number } => ({ serial: Buffer.from(bytes).readUInt32LE() });
    this.client = new PartClient(
      ours,
      { messageBytes: 4, decode, isLast: () => true, gone: 'opener-gone', busy: 'opener-busy' },
      (reason) => (this.dead = reason),
      deadlineMs,
    );
  }

  /** Answers the request that is there, without a turn of the event loop. */
  answerNow(): void {
    const buffer = new Uint8Array(4);
    if (native.receiveMessage(this.#socket, buffer) === null) throw new Error('there is no request');
    native.sendMessage(this.#socket, buffer, []);
  }

  /** Answers whatever comes, until `done` is settled. @returns the serials in their order */
  async answer(done: Promise<unknown>): Promise<readonly number[]> {
    const serials: number[] = [];
    const state = { settled: false };
    const settled = (): void => void (state.settled = true);
    void done.then(settled, settled);
    const buffer = new Uint8Array(4);
    while (!state.settled) {
      if (native.receiveMessage(this.#socket, buffer) !== null) {
        serials.push(Buffer.from(buffer).readUInt32LE());
        native.sendMessage(this.#socket, buffer, []);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return serials;
  }

  end(): void {
    this.client.close();
    native.close(this.#socket);
  }
}

function message(serial: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(serial);
  return bytes;
}

test('what gives something back is taken however much waits, and a request is not', async (t) => {
  const part = new FakePart();
  const { client } = part;
  const all: Promise<unknown>[] = [];
  for (let i = 0; i < 2 * WAITING; i++) {
    const serial = client.serial();
    all.push(client.giveBack(1, serial, message(serial)));
  }
  const serial = client.serial();
  await t.throwsAsync(client.request(1, serial, message(serial), []), { message: /waiting already/ });
  const other = client.serial();
  all.push(client.request(2, other, message(other), []));
  const served = await part.answer(Promise.all(all));
  t.is(served.length, 2 * WAITING + 1);
  t.true(served.indexOf(other) <= 2, 'another user takes turns with it');
  part.end();
});

test('when the part is gone everything is refused', async (t) => {
  const part = new FakePart();
  const waiting = part.client.giveBack(1, 1, message(1));
  part.end();
  await t.throwsAsync(waiting, { message: /ended/ });
  await t.throwsAsync(part.client.giveBack(1, 2, message(2)), { message: /ended/ });
  await t.throwsAsync(part.client.request(1, 3, message(3), []), { message: /ended/ });
});

/** Holds up the event loop until timers of `ms` are due; they come before what sockets have. */
async function blockLoop(ms: number): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * ms);
}

test('an answer that waits in the socket when the deadline passes was in time: it is this process that was held up', async (t) => {
  const part = new FakePart(20);
  const first = part.client.request(1, 1, message(1), []);
  part.answerNow();
  const second = part.client.request(2, 2, message(2), []);
  await blockLoop(20);
  t.is((await first).first.serial, 1);
  part.answerNow();
  t.is((await second).first.serial, 2, 'the next one has a deadline of its own');
  t.is(part.dead, null);
  part.end();
});

test('a part that has not answered by the deadline is dead', async (t) => {
  const part = new FakePart(20);
  await t.throwsAsync(part.client.request(1, 1, message(1), []), { message: /ended/ });
  await new Promise((resolve) => setImmediate(resolve));
  t.is(part.dead, 'no answer within 20 ms');
  part.end();
});

test('an answer whose fds find no room fails that request alone, and what of it still comes is dropped', (t) => {
  // In a process of its own, as it is the whole process that has no room.
  const script = `
    import { openSync } from 'node:fs';
    import { PartClient, NoRoomForFds } from '#dist/broker/part_client.js';
    import { native } from '#dist/native.js';
    const [ours, theirs] = native.socketPair('seqpacket');
    const decode = (bytes) => ({ serial: Buffer.from(bytes).readUInt32LE(), fdCount: bytes[4] });
    let dead = null;
    const client = new PartClient(ours, { messageBytes: 5, decode, isLast: () => true, gone: 'opener-gone', busy: 'opener-busy' }, (why) => (dead = why));
    const message = (serial, fds) => { const bytes = Buffer.alloc(5); bytes.writeUInt32LE(serial); bytes[4] = fds; return bytes; };
    const first = client.request(1, 7, message(7, 0), []);
    const second = client.request(1, 8, message(8, 0), []);
    const filler = [];
    const given = [openSync('/dev/null'), openSync('/dev/null')];
    try { for (;;) filler.push(native.duplicate(0)); } catch {}
    native.close(filler.pop()); // room for one of two
    const open = filler.length;
    native.sendMessage(theirs, message(7, 2), given);
    const failure = await first.catch((error) => error);
    native.sendMessage(theirs, message(7, 0), []);
    native.sendMessage(theirs, message(8, 0), []);
    await second;
    // What came of the two has been closed.
    filler.push(native.duplicate(0));
    console.log(failure instanceof NoRoomForFds, dead, filler.length - open);
    process.exit(0);
  `;
  const run = spawnSync(
    'sh',
    ['-c', 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8' },
  );
  t.is(run.stdout, 'true null 1\n', run.stderr);
});
