/**
 * The broker's end of the socketpair to a native part. Requests of different users take turns; one is under way at a time, as
 * the part serves one at a time.
 */
import { native, READABLE, WRITABLE, type Fd, type NativeError, type Poller } from '../native.js';
import { brokerError, type ErrorCode } from '../model/error_table.js';

/** What is particular to one kind of part. */
export interface PartProtocol<Message> {
  /** Bytes of one reply message. */
  readonly messageBytes: number;
  /** @throws RangeError on anything that the part would not send */
  readonly decode: (bytes: Uint8Array) => Message & { readonly serial: number; readonly fdCount?: number };
  /** Whether this message ends the reply. */
  readonly isLast: (message: Message) => boolean;
  readonly gone: ErrorCode<'Unavailable'>;
  readonly busy: ErrorCode<'Unavailable'>;
}

/** An answered request; `fds` belong to the caller. */
export interface Answer<Message> {
  readonly first: Message;
  /** Where it takes several messages. */
  readonly more: readonly Message[];
  readonly fds: readonly Fd[];
}

interface Job<Message> {
  readonly serial: number;
  readonly bytes: Uint8Array;
  readonly fds: readonly Fd[];
  readonly answer: { readonly messages: Message[]; readonly fds: Fd[] };
  readonly resolve: (answer: Answer<Message>) => void;
  readonly reject: (error: Error) => void;
}

/** The answer came, and its fds found no room in this process: the kernel has closed what did not fit, and this side the rest. */
export class NoRoomForFds extends Error {
  override readonly name = 'NoRoomForFds';
}

/** Requests one user may have waiting; with one call at a time per connection this is a second fence, not the first. */
const MAX_WAITING_PER_USER = 256;
/** Parts work in milliseconds. One that has not answered by then never will. */
const DEADLINE_MS = 15_000;

export class PartClient<Message> {
  readonly #socket: Fd;
  readonly #protocol: PartProtocol<Message>;
  readonly #poller: Poller;
  readonly #onDeath: (reason: string) => void;
  readonly #deadlineMs: number;
  readonly #waiting = new Map<number, Job<Message>[]>();
  #current: { job: Job<Message>; sent: boolean; deadline: NodeJS.Timeout } | null = null;
  #nextSerial = 1;
  /** Of the request whose answer did not fit; what of it still comes is dropped. 0: none. */
  #lost = 0;
  #dead = false;
  #interest = READABLE;
  #onReady: (() => void) | null = null;

  /** @param onDeath called once when the part is gone, breaks the protocol or does not answer: nothing can be served any more */
  constructor(
    socket: Fd,
    protocol: PartProtocol<Message>,
    onDeath: (reason: string) => void,
    deadlineMs: number = DEADLINE_MS,
  ) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#onDeath = onDeath;
    this.#deadlineMs = deadlineMs;
    this.#poller = native.createPoller(socket, () => this.#onEvent());
    this.#poller.start(READABLE);
  }

  /** Resolves when the part has proved what it holds. */
  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#onReady = resolve;
    });
  }

  /** A number for the next request; never 0, which is that of the part's first word. */
  serial(): number {
    const serial = this.#nextSerial;
    this.#nextSerial = serial === 0xffff_ffff ? 1 : serial + 1;
    return serial;
  }

  /**
   * @param uid whose turn it takes
   * @param serial what `bytes` carries
   * @param fds stay the caller's, and open until the answer
   */
  request(uid: number, serial: number, bytes: Uint8Array, fds: readonly Fd[]): Promise<Answer<Message>> {
    const waiting = this.#waiting.get(uid)?.length ?? 0;
    if (waiting >= MAX_WAITING_PER_USER)
      return Promise.reject(
        brokerError('Unavailable', this.#protocol.busy, `${waiting} requests of uid ${uid} are waiting already`),
      );
    return this.#enqueue(uid, serial, bytes, fds);
  }

  /**
   * A request that gives something back, which is refused only when the part is gone: what was refused here would be lost for
   * good. There are no more of them than there were requests that took.
   */
  giveBack(uid: number, serial: number, bytes: Uint8Array): Promise<Answer<Message>> {
    return this.#enqueue(uid, serial, bytes, []);
  }

  #enqueue(uid: number, serial: number, bytes: Uint8Array, fds: readonly Fd[]): Promise<Answer<Message>> {
    return new Promise((resolve, reject) => {
      if (this.#dead) return reject(brokerError('Unavailable', this.#protocol.gone, 'it has ended'));
      const queue = this.#waiting.get(uid) ?? [];
      queue.push({ serial, bytes, fds, answer: { messages: [], fds: [] }, resolve, reject });
      this.#waiting.set(uid, queue);
      this.#next();
    });
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
    for (const { answer, reject } of jobs) {
      for (const fd of answer.fds) native.close(fd);
      reject(brokerError('Unavailable', this.#protocol.gone, 'it has ended'));
    }
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
    const deadline = setTimeout(() => this.#onDeadline(job), this.#deadlineMs);
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
    this.#watch(current.sent ? READABLE : READABLE | WRITABLE);
  }

  /** A poller that is started again is taken off epoll and put back. */
  #watch(interest: number): void {
    if (interest === this.#interest) return;
    this.#interest = interest;
    this.#poller.start(interest);
  }

  #onEvent(): void {
    if (this.#dead) return;
    this.#send();
    this.#receive();
  }

  /** Timers come before sockets when this process was held up itself: the answer may have been there for long. */
  #onDeadline(job: Job<Message>): void {
    while (this.#current?.job === job && this.#receive());
    if (this.#current?.job === job) this.#die(`no answer within ${this.#deadlineMs} ms`);
  }

  /** @returns false when nothing waits in the socket */
  #receive(): boolean {
    const buffer = new Uint8Array(this.#protocol.messageBytes + 1);
    let received;
    try {
      received = native.receiveMessage(this.#socket, buffer);
    } catch (error) {
      if ((error as NativeError).code === 'EMSGSIZE') this.#lose();
      else this.#die(`recvmsg: ${(error as Error).message}`);
      return true;
    }
    if (received === null) return false;
    this.#onReceived(buffer.subarray(0, received.bytes), received.fds);
    return true;
  }

  #onReceived(bytes: Uint8Array, fds: readonly Fd[]): void {
    let message;
    try {
      if (bytes.length === 0) throw new RangeError('it closed its socket');
      message = this.#protocol.decode(bytes);
      const named = message.fdCount ?? 0;
      if (named !== fds.length) throw new RangeError(`${fds.length} fds came where ${named} were named`);
    } catch (error) {
      for (const fd of fds) native.close(fd);
      this.#die((error as Error).message);
      return;
    }
    if (message.serial === 0 && this.#onReady !== null) {
      this.#onReady();
      this.#onReady = null;
      return;
    }
    const current = this.#current;
    if (current?.job.serial !== message.serial) {
      for (const fd of fds) native.close(fd);
      if (message.serial === this.#lost) return;
      this.#die(`an answer to request ${message.serial}, which nobody asked`);
      return;
    }
    const { answer, resolve } = current.job;
    answer.messages.push(message);
    answer.fds.push(...fds);
    if (!this.#protocol.isLast(message)) return;
    const [first = message, ...more] = answer.messages;
    clearTimeout(current.deadline);
    this.#current = null;
    resolve({ first, more, fds: answer.fds });
    this.#next();
  }

  /** It is known whose answer it was: one request is under way at a time. */
  #lose(): void {
    const current = this.#current;
    if (current === null) return this.#die('fds that nobody asked for');
    const { serial, answer, reject } = current.job;
    for (const fd of answer.fds) native.close(fd);
    clearTimeout(current.deadline);
    this.#current = null;
    this.#lost = serial;
    reject(new NoRoomForFds('the fds of the answer did not fit'));
    this.#next();
  }

  #die(reason: string): void {
    if (this.#dead) return;
    this.close();
    // After those who wait have been told: whoever is told ends this process.
    setImmediate(() => this.#onDeath(reason));
  }
}
