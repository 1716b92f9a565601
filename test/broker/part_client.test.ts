/** Requests to a native part, which answers one at a time. */
import test from 'ava';
import { PartClient } from '#dist/broker/part_client.js';
import { native, type Fd } from '#dist/native.js';

const WAITING = 256;

/** A part that answers nothing until it is told to; messages are their serial. */
class FakePart {
  readonly client: PartClient<{ readonly serial: number }>;
  readonly #socket: Fd;
  dead: string | null = null;

  constructor() {
    const [ours, theirs] = native.socketPair('seqpacket');
    this.#socket = theirs;
    const decode = (bytes: Uint8Array): { serial: number } => ({ serial: Buffer.from(bytes).readUInt32LE() });
    this.client = new PartClient(
      ours,
      { messageBytes: 4, decode, isLast: () => true, gone: 'opener-gone', busy: 'opener-busy' },
      (reason) => (this.dead = reason),
    );
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
