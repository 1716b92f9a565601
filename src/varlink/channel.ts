import { MAX_TIMER_MS } from '../common/timer.js';
import type { Fd } from '../native.js';
import { closeFds } from './close_fds.js';
import { Connection, type ConnectionLimits, type Message } from './connection.js';
import type { Interface, Method } from './idl.js';
import { acceptStruct, validateStruct, ValidationError } from './validate.js';

export interface Reply {
  /** As the interface declares them for the method. */
  readonly parameters: Record<string, unknown>;
  /** Owned by the caller. */
  readonly fds: readonly Fd[];
}

export interface CallOptions {
  /** Consumed, also when the call fails. */
  readonly fds?: readonly Fd[];
  /** Accepts several replies. */
  readonly more?: boolean;
  /** Milliseconds until the connection is given up; 0: never. */
  readonly timeoutMs: number;
  /** Receives each reply but the last as it arrives. Without it, all replies are kept until the last one. */
  readonly onReply?: (reply: Reply) => void;
}

/** Errors of a channel, built by its user. */
export interface ChannelErrors {
  /** The peer replied with an error. */
  readonly fromReply: (error: string, parameters: Record<string, unknown>) => Error;
  /** The connection ended. */
  readonly closed: (detail: string) => Error;
  /** The peer sent a message that is not a reply to the call. */
  readonly unexpected: (detail: string) => Error;
  readonly timedOut: (method: string, timeoutMs: number) => Error;
}

export interface ChannelOptions {
  /** Connected; owned by the channel from now on. */
  readonly socket: Fd;
  readonly definition: Interface;
  readonly limits: ConnectionLimits;
  readonly errors: ChannelErrors;
  /** Refuses fields that the definition does not have. Otherwise they are dropped: a newer service may send them. */
  readonly strict?: boolean;
}

/** A message that cannot be a reply to the call under way. */
class UnexpectedReply extends Error {
  override readonly name = 'UnexpectedReply';
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
 * The client side of Varlink: calls of one interface over one connection. Replies arrive in the order of the calls. The channel
 * reads only while a call is under way, so an idle client does not keep its process alive.
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
   * @returns the replies in order, except those passed to `onReply`; at least one
   * @throws an error built by {@link ChannelErrors}; the fds of replies that came before it are closed
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
        timeoutMs > 0 ? setTimeout(() => this.#timeOut(name, timeoutMs), Math.min(timeoutMs, MAX_TIMER_MS)) : null;
      this.#pending.push({ method, more, replies: [], onReply, timer, resolve, reject });
      this.#connection.resume();
      this.#connection.send({ method: `${this.#definition.name}.${name}`, parameters, ...(more && { more }) }, fds);
    });
  }

  /** Rejects the calls under way. Idempotent. */
  close(): void {
    this.#connection.close();
  }

  #timeOut(name: string, timeoutMs: number): void {
    // A late reply could be mistaken for the reply to the next call, so the connection is closed.
    this.#fail(this.#errors.timedOut(name, timeoutMs));
    this.#connection.close();
  }

  #onMessage({ value, fds }: Message): void {
    const call = this.#pending[0];
    try {
      if (call === undefined) throw new UnexpectedReply('a reply without a call');
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
      // Anything else is a fault on this side, also in `onReply`: the peer is not blamed for it.
      const isPeersFault = error instanceof UnexpectedReply || error instanceof ValidationError;
      this.#fail(isPeersFault ? this.#errors.unexpected(error.message) : error);
      this.#connection.close();
    }
  }

  #parametersOf(value: Record<string, unknown>, { method, more }: Pending): Record<string, unknown> {
    if (!this.#strict) return acceptStruct(this.#definition, method.output, value['parameters'] ?? {});
    for (const key of Object.keys(value))
      if (key !== 'parameters' && !(key === 'continues' && (more || value[key] === false)))
        throw new UnexpectedReply(`a reply with ${JSON.stringify(key.slice(0, 64))}`);
    return validateStruct(this.#definition, method.output, value['parameters'] ?? {});
  }

  /** Removes the call from the list and closes the fds that its replies still hold. */
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
