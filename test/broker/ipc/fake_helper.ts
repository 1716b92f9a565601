/** The end of a helper process, for tests of its clients: workers answer when the test says so. */
import type { ExecutionContext } from 'ava';
import { native, type Fd } from '#dist/native.js';

export class FakeWorker {
  readonly #channel: Fd;

  constructor(channel: Fd) {
    this.#channel = channel;
  }

  /** The request that is there, and the number of its fds; null when there is none. @param size bytes of a request */
  take(size: number): { readonly view: DataView; readonly fds: number } | null {
    const bytes = new Uint8Array(size);
    const received = native.receiveMessage(this.#channel, bytes);
    for (const fd of received?.fds ?? []) native.close(fd);
    return received === null || received.bytes === 0
      ? null
      : { view: new DataView(bytes.buffer), fds: received.fds.length };
  }

  /** Sends a reply with these u32 fields by offset. The fds are closed. */
  answer(size: number, fields: readonly (readonly [offset: number, value: number])[], fds: readonly Fd[] = []): void {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    for (const [offset, value] of fields) view.setUint32(offset, value, true);
    native.sendMessage(this.#channel, bytes, fds);
    for (const fd of fds) native.close(fd);
  }
}

export class FakeHelper {
  /** The socket of the client, which owns it. */
  readonly theirs: Fd;
  readonly #ours: Fd;
  readonly #channels: Fd[] = [];
  #ended = false;

  constructor(t: ExecutionContext) {
    [this.theirs, this.#ours] = native.socketPair('seqpacket');
    t.teardown(() => {
      this.end();
      for (const channel of this.#channels) native.close(channel);
    });
  }

  /** The next worker, whose channel is there already. */
  worker(): FakeWorker {
    const [channel] = native.receiveMessage(this.#ours, new Uint8Array(1))?.fds ?? [];
    if (channel === undefined) throw new Error('there is no channel');
    this.#channels.push(channel);
    return new FakeWorker(channel);
  }

  /** A message on the socket itself. */
  send(bytes: Uint8Array): void {
    native.sendMessage(this.#ours, bytes, []);
  }

  /** The helper process ends. Idempotent. */
  end(): void {
    if (!this.#ended) native.close(this.#ours);
    this.#ended = true;
  }
}
