/**
 * The broker's end of the opener's socketpair. Requests of different users take turns; one is under way at a time, as
 * the opener serves one at a time.
 */
import { native, READABLE, WRITABLE, type Fd, type Poller } from '../native.js';
import { brokerError } from '../model/error_table.js';
import {
  decodeReply,
  encodeOpen,
  encodeRelease,
  LAYOUT,
  type OpenerReply,
  type OpenerRequest,
} from './opener_protocol.js';

/** An answered request; `fds` belong to the caller. */
export interface Opened {
  readonly reply: OpenerReply;
  readonly fds: readonly Fd[];
}

interface Job {
  readonly serial: number;
  readonly bytes: Uint8Array;
  readonly fds: readonly Fd[];
  readonly resolve: (opened: Opened) => void;
  readonly reject: (error: Error) => void;
}

/** Requests one user may have waiting; with one call at a time per connection this is a second fence, not the first. */
const MAX_WAITING_PER_USER = 256;
/** The opener works in milliseconds. One that has not answered by then never will. */
const DEADLINE_MS = 15_000;

export class OpenerClient {
  readonly #socket: Fd;
  readonly #poller: Poller;
  readonly #onDeath: (reason: string) => void;
  readonly #waiting = new Map<number, Job[]>();
  #current: { job: Job; sent: boolean; deadline: NodeJS.Timeout } | null = null;
  #nextSerial = 1;
  #dead = false;
  #onReady: (() => void) | null = null;

  /** @param onDeath called once when the opener is gone or breaks the protocol: nothing can be served any more */
  constructor(socket: Fd, onDeath: (reason: string) => void) {
    this.#socket = socket;
    this.#onDeath = onDeath;
    this.#poller = native.createPoller(socket, () => this.#onEvent());
    this.#poller.start(READABLE);
  }

  /** Resolves when the opener has proved what it holds. */
  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#onReady = resolve;
    });
  }

  /**
   * @param uid whose turn it takes
   * @param connection the client's socket, which the opener asks who the client is
   * @param target pidfd or cgroup directory; null for system targets. Both stay the caller's.
   */
  open(uid: number, request: Omit<OpenerRequest, 'serial'>, connection: Fd, target: Fd | null): Promise<Opened> {
    const serial = this.#serial();
    const bytes = encodeOpen({ ...request, serial });
    return this.#enqueue(uid, serial, bytes, target === null ? [connection] : [connection, target]);
  }

  /** Lets go of the rings that an earlier request mapped in advance. */
  async release(uid: number, serial: number): Promise<void> {
    await this.#enqueue(uid, serial, encodeRelease(serial), []);
  }

  close(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#poller.close();
    native.close(this.#socket);
    if (this.#current !== null) clearTimeout(this.#current.deadline);
    const jobs = [...(this.#current === null ? [] : [this.#current.job]), ...[...this.#waiting.values()].flat()];
    this.#current = null;
    this.#waiting.clear();
    for (const job of jobs) job.reject(brokerError('Unavailable', 'opener-gone', 'the opener has ended'));
  }

  #serial(): number {
    const serial = this.#nextSerial;
    this.#nextSerial = serial === 0xffff_ffff ? 1 : serial + 1;
    return serial;
  }

  #enqueue(uid: number, serial: number, bytes: Uint8Array, fds: readonly Fd[]): Promise<Opened> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(uid) ?? [];
      if (this.#dead) return reject(brokerError('Unavailable', 'opener-gone', 'the opener has ended'));
      if (queue.length >= MAX_WAITING_PER_USER)
        return reject(
          brokerError('Unavailable', 'opener-busy', `${queue.length} requests of uid ${uid} are waiting already`),
        );
      queue.push({ serial, bytes, fds, resolve, reject });
      this.#waiting.set(uid, queue);
      this.#next();
    });
  }

  /** Starts the job of the user whose turn it is: the map keeps insertion order, and a served user goes to its end. */
  #next(): void {
    if (this.#current !== null || this.#dead) return;
    const turn = this.#waiting.entries().next();
    if (turn.done === true) return;
    const [uid, queue] = turn.value;
    const job = queue.shift();
    this.#waiting.delete(uid);
    if (queue.length > 0) this.#waiting.set(uid, queue);
    if (job === undefined) return;
    const deadline = setTimeout(() => this.#die(`no answer within ${DEADLINE_MS} ms`), DEADLINE_MS);
    this.#current = { job, sent: false, deadline };
    this.#send();
  }

  #send(): void {
    const current = this.#current;
    if (current === null || current.sent) return;
    try {
      current.sent = native.sendMessage(this.#socket, current.job.bytes, current.job.fds) !== null;
    } catch (error) {
      this.#die(`sendmsg: ${(error as Error).message}`);
      return;
    }
    this.#poller.start(current.sent ? READABLE : READABLE | WRITABLE);
  }

  #onEvent(): void {
    if (this.#dead) return;
    this.#send();
    this.#receive();
  }

  #receive(): void {
    const buffer = new Uint8Array(LAYOUT.reply.size + 1);
    let received;
    try {
      received = native.receiveMessage(this.#socket, buffer);
    } catch (error) {
      this.#die(`recvmsg: ${(error as Error).message}`);
      return;
    }
    if (received === null) return;
    const { fds } = received;
    let reply: OpenerReply;
    try {
      if (received.bytes === 0) throw new RangeError('it closed its socket');
      reply = decodeReply(buffer.subarray(0, received.bytes));
      if (reply.fdCount !== fds.length)
        throw new RangeError(`${fds.length} fds came where ${reply.fdCount} were named`);
    } catch (error) {
      for (const fd of fds) native.close(fd);
      this.#die((error as Error).message);
      return;
    }
    if (reply.serial === 0 && this.#onReady !== null) {
      this.#onReady();
      this.#onReady = null;
      return;
    }
    const current = this.#current;
    if (current?.job.serial !== reply.serial) {
      for (const fd of fds) native.close(fd);
      this.#die(`an answer to request ${reply.serial}, which nobody asked`);
      return;
    }
    clearTimeout(current.deadline);
    this.#current = null;
    current.job.resolve({ reply, fds });
    this.#next();
  }

  #die(reason: string): void {
    if (this.#dead) return;
    this.close();
    this.#onDeath(reason);
  }
}
