import type { Fd } from '../native.js';
import type { Connection } from './connection.js';
import type { Interface, Method, Struct } from './idl.js';
import { SERVICE_INTERFACE } from './service_interface.js';
import { validateStruct } from './validate.js';

/** An error as it goes over the wire. `name` is complete: `org.example.Thing.Broken`. */
export interface ErrorReply {
  readonly name: string;
  readonly parameters: object;
}

/** How the call was made, and against which definition its answers are checked. */
export interface ReplyMode {
  readonly more: boolean;
  readonly oneway: boolean;
  /** Null when the call named no method of the service. */
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

  /** True while anybody is there to read the answer. */
  get open(): boolean {
    return !this.#connection.closed;
  }

  /** The last (or only) reply. At most 253 fds. */
  reply(parameters: object, fds: readonly Fd[] = []): boolean {
    this.#consume(fds, () => this.#checkReply(parameters, false));
    this.#done = true;
    return this.#send({ parameters }, fds);
  }

  /** A reply that more will follow; only for calls with `more`. */
  continue(parameters: object, fds: readonly Fd[] = []): boolean {
    this.#consume(fds, () => this.#checkReply(parameters, true));
    return this.#send({ parameters, continues: true }, fds);
  }

  /** As `reply` or `continue`, but the fds stay the caller's, who may close them when this has returned. */
  lend(parameters: object, fds: readonly Fd[], continues: boolean): boolean {
    this.#checkReply(parameters, continues);
    this.#done = !continues;
    return this.#send(continues ? { parameters, continues } : { parameters }, fds, true);
  }

  /** @param name complete, or a name of the method's own interface: `Broken` */
  error(name: string, parameters: object): boolean {
    const error = name.includes('.') ? name : `${this.#mode.definition.name}.${name}`;
    if (this.#done) throw new Error('a call is answered once');
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
    if (this.#done) throw new Error('a call is answered once');
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

/** As an error of ours: a ValidationError would be taken for a fault of the caller's parameters. */
function checkAnswer(definition: Interface, struct: Struct, parameters: object): void {
  try {
    validateStruct(definition, struct, parameters);
  } catch (error) {
    throw new Error(`the answer does not fit ${definition.name}: ${(error as Error).message}`, { cause: error });
  }
}
