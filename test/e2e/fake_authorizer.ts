/** Stands in for perfbroker-bus: answers the broker's questions as a test wants, bytes and fds included. */
import { chmodSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { native, OWN_LANE, READABLE, type Fd, type Poller } from '#dist/native.js';
import type { CheckParameters, CheckReply } from '#dist/interfaces/authorizer_types.js';

export const YES: CheckReply = { authorized: true, challenge: false, dismissed: false };
export const NO: CheckReply = { authorized: false, challenge: false, dismissed: false };

/** One question, and how to answer it. */
export interface Asked {
  readonly question: CheckParameters;
  answer(reply: CheckReply): void;
  /** Any bytes, with copies of these fds. */
  send(text: string, fds?: readonly Fd[]): void;
  /** Resolved when the broker has hung up. */
  readonly over: Promise<void>;
}

export type Behaviour = (asked: Asked) => void;

export class FakeAuthorizer {
  readonly path: string;
  readonly questions: CheckParameters[] = [];
  behaviour: Behaviour;
  readonly #listener: Fd;
  readonly #poller: Poller;
  #closed = false;
  readonly #closers = new Set<() => void>();

  /** @param brokerSocket beside which it listens */
  constructor(brokerSocket: string, behaviour: Behaviour) {
    this.behaviour = behaviour;
    this.path = join(dirname(brokerSocket), 'authorizer.sock');
    this.#listener = native.listenUnix(this.path, 64);
    chmodSync(this.path, 0o666);
    this.#poller = native.createPoller(this.#listener, () => {
      const socket = native.accept(this.#listener);
      if (socket !== null) this.#serve(socket);
    });
    this.#poller.start(READABLE);
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close();
    native.close(this.#listener);
    for (const close of [...this.#closers]) close();
    rmSync(this.path, { force: true });
  }

  #serve(socket: Fd): void {
    const buffer = new Uint8Array(65_536);
    let text = '';
    let isOver: () => void = () => undefined;
    const over = new Promise<void>((resolve) => (isOver = resolve));
    const close = (): void => {
      if (!this.#closers.delete(close)) return;
      poller.close();
      native.closeConnection(OWN_LANE, socket);
      isOver();
    };
    const send = (bytes: string, fds: readonly Fd[] = []): void => {
      if (!this.#closers.has(close)) return; // the broker waits no longer
      try {
        native.sendMessage(socket, Buffer.from(bytes), fds);
      } catch {
        close();
      }
    };
    const poller = native.createPoller(socket, (status) => {
      const received = status < 0 ? null : native.receiveMessage(socket, buffer);
      if (received === null || received.bytes === 0) return close();
      text += Buffer.from(buffer.subarray(0, received.bytes)).toString();
      const end = text.indexOf('\0');
      if (end < 0) return;
      const { parameters } = JSON.parse(text.slice(0, end)) as { parameters: CheckParameters };
      text = text.slice(end + 1);
      this.questions.push(parameters);
      this.behaviour({
        question: parameters,
        answer: (reply) => send(`${JSON.stringify({ parameters: reply })}\0`),
        send,
        over,
      });
    });
    this.#closers.add(close);
    poller.start(READABLE);
  }
}
