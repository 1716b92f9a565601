import type { Fd } from '../native.js';
import type { Connection } from './connection.js';
import type { Interface, Method, Struct } from './idl.js';
import { SERVICE_INTERFACE } from './service_interface.js';
import { validateStruct } from './validate.js';

/** An error on the wire. `name` is the full name, such as `org.example.Thing.Broken`. */
export interface ErrorReply {
  readonly name: string;
  readonly parameters: object;
}

/** Flags of a call, and the definition for checks of its replies. */
export interface ReplyMode {
  readonly more: boolean;
  readonly oneway: boolean;
  /** Null when the service does not have the method. */
  readonly method: Method | null;
  readonly definition: Interface;
  readonly check: boolean;
}

/**
 * Answers one call, once; before that, with `more`, any number of continued replies. Every method but `lend` consumes the fds in
 * every case, and each returns false when the connection is gone. A oneway call is answered by nothing.
 */
export class Replier {
  readonly #connection: Connection;
  readonly #mode: ReplyMode;
  #done = false;

  constructor(connection: Connection, mode: ReplyMode) {
    this.#connection = connection;
    this.#mode = mode;
  }

  /** True once `reply` or `error` was called. */
  get done(): boolean {
    return this.#done;
  }

  /** True while the connection is open. */
  get open(): boolean {
    return !this.#connection.closed;
  }

  /** Sends the last (or only) reply, with at most 253 fds. */
  reply(parameters: object, fds: readonly Fd[] = []): boolean {
    this.#consume(fds, () => this.#checkReply(parameters, false));
    this.#done = true;
    return this.#send({ parameters }, fds);
  }

  /** Sends a reply that others follow; only for calls with `more`. */
  continue(parameters: object, fds: readonly Fd[] = []): boolean {
    this.#consume(fds, () => this.#checkReply(parameters, true));
    return this.#send({ parameters, continues: true }, fds);
  }

  /** Like `reply` or `continue`, but the caller keeps the fds and may close them when this call returns. */
  lend(parameters: object, fds: readonly Fd[], continues: boolean): boolean {
    this.#checkReply(parameters, continues);
    this.#done = !continues;
    return this.#send(continues ? { parameters, continues } : { parameters }, fds, true);
  }

  /** @param name full name, or a name of the method's own interface, such as `Broken` */
  error(name: string, parameters: object): boolean {
    const error = name.includes('.') ? name : `${this.#mode.definition.name}.${name}`;
    if (this.#done) throw new Error('the call was already answered');
    if (this.#mode.check) this.#checkError(error, parameters);
    this.#done = true;
    return this.#send({ error, parameters }, []);
  }

  #send(message: object, fds: readonly Fd[], lent = false): boolean {
    if (!this.#mode.oneway) return this.#connection.send(message, fds, lent);
    if (!lent) this.#connection.closeFds(fds);
    return this.open;
  }

  #consume(fds: readonly Fd[], check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#connection.closeFds(fds);
      throw error;
    }
  }

  #checkReply(parameters: object, continues: boolean): void {
    if (this.#done) throw new Error('the call was already answered');
    if (continues && !this.#mode.more) throw new Error('the caller did not ask for more than one reply');
    const { method, definition, check } = this.#mode;
    if (check && method !== null) checkAnswer(definition, method.output, parameters);
  }

  #checkError(name: string, parameters: object): void {
    const dot = name.lastIndexOf('.');
    const definition = [this.#mode.definition, SERVICE_INTERFACE].find((each) => each.name === name.slice(0, dot));
    const error = definition?.errors[name.slice(dot + 1)];
    if (definition === undefined || error === undefined) throw new Error(`error ${name} is not defined`);
    checkAnswer(definition, error.parameters, parameters);
  }
}

/** Throws a plain Error: a ValidationError would be reported as a fault in the caller's parameters. */
function checkAnswer(definition: Interface, struct: Struct, parameters: object): void {
  try {
    validateStruct(definition, struct, parameters);
  } catch (error) {
    throw new Error(`the reply does not match ${definition.name}: ${(error as Error).message}`, { cause: error });
  }
}
