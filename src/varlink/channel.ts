import { MAX_TIMER_MS } from '../common/timer.js';
import type { Fd } from '../native.js';
import { closeFds } from './close_fds.js';
import { Connection, type ConnectionLimits, type Message } from './connection.js';
import type { Interface, Method } from './idl.js';
import { acceptStruct, validateStruct } from './validate.js';

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
  /** Gets each reply that another one follows, as it comes; without it they are kept for the end. */
  readonly onReply?: (reply: Reply) => void;
}

/** What went wrong in a channel, in the words of whoever uses it. */
export interface ChannelErrors {
  /** The peer answered with an error. */
  readonly fromReply: (error: string, parameters: Record<string, unknown>) => Error;
  /** The connection ended. */
  readonly closed: (detail: string) => Error;
  /** The peer sent what is no answer. */
  readonly unexpected: (detail: string) => Error;
  readonly timedOut: (method: string, timeoutMs: number) => Error;
}

export interface ChannelOptions {
  /** Connected; owned by the channel from now on. */
  readonly socket: Fd;
  readonly definition: Interface;
  readonly limits: ConnectionLimits;
  readonly errors: ChannelErrors;
  /** Refuse fields that the definition does not have, where otherwise they are left out (a newer service's). */
  readonly strict?: boolean;
}

interface Pending {
  readonly method: Method;
  readonly more: boolean;
  readonly replies: Reply[];
  readonly onReply: ((reply: Reply) => void) | undefined;
  readonly timer: NodeJS.Timeout | null;
  readonly resolve: (replies: readonly Reply[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The client side of Varlink: calls of one interface over one connection. Answers come in the order of the calls. While no
 * call is under way nothing is read, so that an idle client does not keep its process alive.
 */
export class Channel {
  readonly #connection: Connection;
  readonly #definition: Interface;
  readonly #errors: ChannelErrors;
  readonly #strict: boolean;
  readonly #pending: Pending[] = [];
  #failure: unknown = null;

  constructor({ socket, definition, limits, errors, strict = false }: ChannelOptions) {
    this.#definition = definition;
    this.#errors = errors;
    this.#strict = strict;
    this.#connection = new Connection({
      socket,
      limits,
      onMessage: (message) => this.#onMessage(message),
      onClose: ({ detail }) => this.#fail(errors.closed(detail)),
    });
    this.#connection.pause();
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  /**
   * @param name method, without the interface
   * @returns every reply, in order, but for those that `onReply` got; at least one
   * @throws what `errors` make of it; the fds of replies that came before an error are closed
   */
  call(
    name: string,
    parameters: object,
    { fds = [], more = false, timeoutMs, onReply }: CallOptions,
  ): Promise<readonly Reply[]> {
    const method = this.#definition.methods[name];
    if (method === undefined || this.closed) {
      closeFds(fds);
      return Promise.reject(method === undefined ? new TypeError(`no method ${name}`) : (this.#failure as Error));
    }
    return new Promise((resolve, reject) => {
      const timer =
        timeoutMs > 0 ? setTimeout(() => this.#giveUp(name, timeoutMs), Math.min(timeoutMs, MAX_TIMER_MS)) : null;
      this.#pending.push({ method, more, replies: [], onReply, timer, resolve, reject });
      this.#connection.resume();
      this.#connection.send({ method: `${this.#definition.name}.${name}`, parameters, ...(more && { more }) }, fds);
    });
  }

  /** Calls under way are rejected. Idempotent. */
  close(): void {
    this.#connection.close();
  }

  #giveUp(name: string, timeoutMs: number): void {
    // A later answer could not be told from the next call's: the connection goes.
    this.#fail(this.#errors.timedOut(name, timeoutMs));
    this.#connection.close();
  }

  #onMessage({ value, fds }: Message): void {
    const call = this.#pending[0];
    try {
      if (call === undefined) throw new Error('an answer without a call');
      if (typeof value['error'] === 'string') {
        closeFds(fds);
        this.#settle(call).reject(this.#errors.fromReply(value['error'], asObject(value['parameters'])));
        return;
      }
      const reply = { parameters: this.#parametersOf(value, call), fds };
      if (value['continues'] === true && call.more) {
        if (call.onReply === undefined) call.replies.push(reply);
        else call.onReply(reply);
        return;
      }
      const replies = [...call.replies.splice(0), reply];
      this.#settle(call).resolve(replies);
    } catch (error) {
      closeFds(fds);
      this.#fail(this.#errors.unexpected((error as Error).message));
      this.#connection.close();
    }
  }

  #parametersOf(value: Record<string, unknown>, { method, more }: Pending): Record<string, unknown> {
    if (!this.#strict) return acceptStruct(this.#definition, method.output, value['parameters'] ?? {});
    for (const key of Object.keys(value))
      if (key !== 'parameters' && !(key === 'continues' && (more || value[key] === false)))
        throw new Error(`an answer with ${JSON.stringify(key.slice(0, 64))}`);
    return validateStruct(this.#definition, method.output, value['parameters'] ?? {});
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
