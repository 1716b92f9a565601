/** A channel to one worker of a native helper process: requests and their answers, until the worker is released and ends. */
import { constants } from 'node:os';
import { kernelRefused } from '../../model/errors/kernel_refused.js';
import { native, READABLE, type Fd, type NativeError, type Poller } from '../../native.js';
import type { HelperMessage } from './helper_message.js';
import { NO_LOCK, type LockScope } from './lock_scope.js';

/** Protocol of one kind of helper. */
export interface HelperProtocol<Message> {
  /** Bytes of one reply message. */
  readonly messageBytes: number;
  /** @throws RangeError on anything that the helper would not send */
  readonly decode: (bytes: Uint8Array) => Message & { readonly serial: number; readonly fdCount?: number };
  /** True for the message that ends the reply. */
  readonly isLast: (message: Message) => boolean;
  /** Encodes a request that makes a worker close all fds of its last one. Without it a worker serves one session. */
  readonly encodeReset?: (serial: number) => Uint8Array;
}

export interface SessionListener {
  /** The session makes no more requests. */
  readonly onDone: () => void;
  /** The deadline of a request has passed. @returns its error */
  readonly onLate: (scope: LockScope) => Error;
  /** The worker holds nothing of the session any more: {@link HelperSession.begin} may begin the next one. */
  readonly onIdle: () => void;
  /** The worker has ended. @returns the error of a request that it has not answered */
  readonly onEnd: () => Error;
  /** The worker broke the protocol. */
  readonly onBroken: (reason: string) => void;
  /** Called for each request that ends, or becomes late. */
  readonly onMessage: (message: Omit<HelperMessage, 'worker'>) => void;
}

export interface HelperRequest<Message> {
  /** For the log. */
  readonly kind: HelperMessage['kind'];
  /** @param serial to be carried by the message and its answer */
  readonly encode: (serial: number) => Uint8Array;
  readonly scope: LockScope;
  /** Serial of an earlier request whose rings this one releases. By default a new serial. */
  readonly serial?: number;
  /** They stay the caller's, and may be closed when the promise is settled. */
  readonly fds: readonly Fd[];
  /** Called with an answer that came after the deadline; its fds are closed already. */
  readonly onLate?: (messages: readonly Message[]) => void;
}

/** An answer; `fds` belong to the caller. Until the next request, or the release, closing one of them waits for no task. */
export interface HelperReply<Message> {
  readonly first: Message;
  /** The other messages of the answer. */
  readonly more: readonly Message[];
  readonly fds: readonly Fd[];
}

interface Pending<Message> {
  readonly request: HelperRequest<Message>;
  readonly serial: number;
  readonly sentMs: number;
  readonly messages: Message[];
  readonly fds: Fd[];
  readonly deadline: NodeJS.Timeout | undefined;
  readonly resolve: (reply: HelperReply<Message>) => void;
  readonly reject: (error: Error) => void;
}

export class HelperSession<Message> {
  /** The worker's end, which the helper is to be sent; closed by {@link handedOver}. */
  readonly theirs: Fd;
  readonly #ours: Fd;
  readonly #protocol: HelperProtocol<Message>;
  readonly #deadlineMs: number;
  readonly #listener: SessionListener;
  readonly #poller: Poller;
  #ended: Promise<void>;
  #onEnded: () => void = () => undefined;
  #pending: Pending<Message> | null = null;
  #serial = 0;
  /** The deadline of a request has passed. */
  #late = false;
  #over = false;
  #released = false;
  #done = false;

  /** @throws NativeError when no channel can be made */
  constructor(protocol: HelperProtocol<Message>, deadlineMs: number, listener: SessionListener) {
    [this.#ours, this.theirs] = native.workerChannel();
    this.#protocol = protocol;
    this.#deadlineMs = deadlineMs;
    this.#listener = listener;
    this.#ended = new Promise((resolve) => (this.#onEnded = resolve));
    this.#poller = native.createPoller(this.#ours, () => this.#receive());
    this.#poller.start(READABLE);
  }

  /** True when its caller has released it: the worker ends when it has answered. */
  get released(): boolean {
    return this.#released;
  }

  /** The helper has the worker's end. */
  handedOver(): void {
    native.close(this.theirs);
  }

  /** Begins another session with the worker, which is idle. */
  begin(): void {
    this.#released = this.#done = false;
    this.#ended = new Promise((resolve) => (this.#onEnded = resolve));
  }

  /** Sends a request; one at a time. @throws BrokerError Unavailable; KernelRefused EMFILE when the fds of the answer found no room */
  request(request: HelperRequest<Message>): Promise<HelperReply<Message>> {
    if (this.#over) return Promise.reject(this.#listener.onEnd());
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => this.#onDeadline(), this.#deadlineMs);
      this.#post({ request, deadline, resolve, reject });
    });
  }

  #post(asked: Pick<Pending<Message>, 'request' | 'deadline' | 'resolve' | 'reject'>): void {
    const { request } = asked;
    const serial = request.serial ?? (this.#serial += 1);
    this.#pending = { ...asked, serial, sentMs: performance.now(), messages: [], fds: [] };
    try {
      // Only one message is under way at a time, and the socket has room for it.
      if (native.sendMessage(this.#ours, request.encode(serial), request.fds) === null)
        throw new Error('the channel of a worker is full');
    } catch (error) {
      this.abandon(error as Error);
    }
  }

  /** The session makes no more requests: the user's next one may begin. The worker keeps its rings. */
  done(): void {
    if (this.#done) return;
    this.#done = true;
    this.#listener.onDone();
  }

  /** Lets the worker end when it has answered. Resolves when it has ended. */
  endWorker(): Promise<void> {
    this.#released = true;
    if (!this.#over && this.#pending === null) native.endWriting(this.#ours);
    this.done();
    return this.#ended;
  }

  /**
   * Releases a worker that has no rings: it is kept for another session if the protocol allows it, else it ends. A worker whose copies of the
   * fds cannot be closed yet counts for this session until they are.
   */
  release(): Promise<void> {
    const { encodeReset } = this.#protocol;
    if (encodeReset === undefined || this.#over || this.#released || this.#pending !== null) return this.endWorker();
    this.#released = true;
    this.done();
    const resolve = (): void => {
      this.#onEnded();
      this.#listener.onIdle();
    };
    const request = { kind: 'reset' as const, encode: encodeReset, scope: NO_LOCK, fds: [] };
    this.#post({ request, deadline: undefined, resolve, reject: () => undefined });
    return this.#ended;
  }

  /** Abandons the worker in any state. */
  abandon(error: Error): void {
    this.#drop(error);
    this.#end();
  }

  #receive(): void {
    while (!this.#over && this.#receiveOne());
  }

  /** @returns false when no message is there */
  #receiveOne(): boolean {
    const buffer = new Uint8Array(this.#protocol.messageBytes + 1);
    let received;
    try {
      received = native.receiveMessage(this.#ours, buffer);
    } catch (error) {
      if ((error as NativeError).code === 'EMSGSIZE') this.#onLost();
      else this.#end();
      return true;
    }
    if (received === null) return false;
    if (received.bytes === 0) this.#end();
    else this.#onMessage(buffer.subarray(0, received.bytes), received.fds);
    return true;
  }

  #onMessage(bytes: Uint8Array, fds: readonly Fd[]): void {
    const pending = this.#pending;
    pending?.fds.push(...fds);
    try {
      const message = this.#protocol.decode(bytes);
      if (message.serial !== pending?.serial)
        throw new RangeError(`an answer to request ${message.serial}, which is not open`);
      const named = message.fdCount ?? 0;
      if (named !== fds.length) throw new RangeError(`${fds.length} fds came where ${named} were named`);
      pending.messages.push(message);
      if (this.#protocol.isLast(message)) this.#onAnswer();
    } catch (error) {
      if (pending === null) for (const fd of fds) native.close(fd);
      this.#listener.onBroken((error as Error).message);
    }
  }

  #onAnswer(): void {
    const pending = this.#take();
    const [first, ...more] = pending?.messages ?? [];
    if (pending === null || first === undefined) return;
    this.#report(pending, this.#late ? 'answered late' : 'answered');
    if (!this.#late) return pending.resolve({ first, more, fds: pending.fds });
    // Its caller has received an error. The worker still has copies: this is not the last close, which could wait.
    for (const fd of pending.fds) native.close(fd);
    pending.request.onLate?.(pending.messages);
    void this.endWorker();
  }

  /** Fails the request, if there is one. */
  #drop(error: Error): void {
    const pending = this.#take();
    if (pending === null) return;
    this.#report(pending, 'failed');
    for (const fd of pending.fds) native.close(fd);
    pending.reject(error);
  }

  /** Removes the request that has ended. */
  #take(): Pending<Message> | null {
    const pending = this.#pending;
    this.#pending = null;
    clearTimeout(pending?.deadline);
    return pending;
  }

  /** A message came, but its fds found no room in this process: all of them are closed. */
  #onLost(): void {
    this.#drop(kernelRefused(constants.errno.EMFILE, { what: 'the fds of the answer', call: 'recvmsg' }));
    void this.endWorker();
  }

  /** Timers come before sockets when this process was delayed: the answer may have been there in time. */
  #onDeadline(): void {
    const pending = this.#pending;
    this.#receive();
    if (pending === null || this.#pending !== pending || this.#over) return;
    this.#late = true;
    this.#report(pending, 'late');
    pending.reject(this.#listener.onLate(pending.request.scope));
  }

  #report({ request, sentMs }: Pending<Message>, outcome: HelperMessage['outcome']): void {
    this.#listener.onMessage({ kind: request.kind, outcome, ms: performance.now() - sentMs });
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#poller.close();
    native.close(this.#ours);
    this.#drop(this.#listener.onEnd());
    this.#onEnded();
  }
}
