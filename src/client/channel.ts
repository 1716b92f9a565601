import { brokerError } from '../model/error_table.js';
import type { Fd } from '../native.js';
import { BROKER_INTERFACE } from '../varlink/broker_interface.js';
import { closeFds } from '../varlink/close_fds.js';
import { Connection, type ConnectionLimits, type Message } from '../varlink/connection.js';
import type { Method } from '../varlink/idl.js';
import { acceptStruct } from '../varlink/validate.js';
import { errorFromReply } from './errors.js';

/** What the broker may send us: it is more trusted than a client, and its replies can be long. */
const LIMITS: ConnectionLimits = {
  messageBytes: 16 << 20,
  maxFdsPerMessage: 253,
  depth: 32,
  queuedBytes: 16 << 20,
  queuedFds: 4096,
};

export interface Reply {
  /** As the interface declares them for the method. */
  readonly parameters: Record<string, unknown>;
  /** Owned by whoever gets the reply. */
  readonly fds: readonly Fd[];
}

export interface CallOptions {
  /** Consumed in every case. */
  readonly fds?: readonly Fd[];
  /** Several replies may come. */
  readonly more?: boolean;
  /** Milliseconds until the connection is given up; 0: never. */
  readonly timeoutMs: number;
}

interface Pending {
  readonly method: Method;
  readonly more: boolean;
  readonly replies: Reply[];
  readonly timer: NodeJS.Timeout | null;
  readonly resolve: (replies: readonly Reply[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Calls of org.perfbroker.Broker over one connection. Answers come in the order of the calls. While no call is under way
 * nothing is read, so that an idle client does not keep its process alive.
 */
export class Channel {
  readonly #connection: Connection;
  readonly #pending: Pending[] = [];
  #failure: unknown = null;

  /** @param socket connected; owned by the channel from now on */
  constructor(socket: Fd) {
    this.#connection = new Connection({
      socket,
      limits: LIMITS,
      onMessage: (message) => this.#onMessage(message),
      onClose: ({ detail }) =>
        this.#fail(brokerError('Unavailable', 'connection-lost', `the connection to the broker ended: ${detail}`)),
    });
    this.#connection.pause();
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  /**
   * @param name method, without the interface
   * @returns every reply, in order; at least one
   * @throws BrokerError, VarlinkError; the fds of replies that came before an error are closed
   */
  call(
    name: string,
    parameters: object,
    { fds = [], more = false, timeoutMs }: CallOptions,
  ): Promise<readonly Reply[]> {
    const method = BROKER_INTERFACE.methods[name];
    if (method === undefined || this.closed) {
      closeFds(fds);
      return Promise.reject(method === undefined ? new TypeError(`no method ${name}`) : (this.#failure as Error));
    }
    return new Promise((resolve, reject) => {
      const timer = timeoutMs > 0 ? setTimeout(() => this.#giveUp(name, timeoutMs), timeoutMs) : null;
      this.#pending.push({ method, more, replies: [], timer, resolve, reject });
      this.#connection.resume();
      this.#connection.send({ method: `${BROKER_INTERFACE.name}.${name}`, parameters, ...(more && { more }) }, fds);
    });
  }

  /** Calls under way are rejected. Idempotent. */
  close(): void {
    this.#connection.close();
  }

  #giveUp(name: string, timeoutMs: number): void {
    // A later answer could not be told from the next call's: the connection goes.
    this.#fail(brokerError('Unavailable', 'timed-out', `${name} was not answered within ${timeoutMs} ms`));
    this.#connection.close();
  }

  #onMessage({ value, fds }: Message): void {
    const call = this.#pending[0];
    try {
      if (call === undefined) throw new Error('an answer without a call');
      if (typeof value['error'] === 'string') {
        closeFds(fds);
        this.#settle(call).reject(errorFromReply(value['error'], asObject(value['parameters'])));
        return;
      }
      call.replies.push({
        parameters: acceptStruct(BROKER_INTERFACE, call.method.output, value['parameters'] ?? {}),
        fds,
      });
      if (value['continues'] === true && call.more) return;
      const replies = call.replies.splice(0);
      this.#settle(call).resolve(replies);
    } catch (error) {
      closeFds(fds);
      this.#fail(
        brokerError(
          'Unavailable',
          'connection-lost',
          `the broker sent something unexpected: ${(error as Error).message}`,
        ),
      );
      this.#connection.close();
    }
  }

  /** Takes the call off the list; whatever fds its replies still hold are closed. */
  #settle(call: Pending): Pending {
    this.#pending.splice(this.#pending.indexOf(call), 1);
    if (call.timer !== null) clearTimeout(call.timer);
    if (this.#pending.length === 0) this.#connection.pause();
    closeFds(call.replies.splice(0).flatMap((reply) => reply.fds));
    return call;
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const call of this.#pending.splice(0)) {
      if (call.timer !== null) clearTimeout(call.timer);
      closeFds(call.replies.flatMap((reply) => reply.fds));
      call.reject(this.#failure);
    }
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
