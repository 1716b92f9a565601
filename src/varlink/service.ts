/** The server side of Varlink: parses calls, checks them against the interface, runs one handler at a time. */
import { OWN_LANE, type Fd, type LaneUser } from '../native.js';
import { Connection, type CloseReason, type ConnectionLimits } from './connection.js';
import { FdBag } from './fd_bag.js';
import type { FdsInFlight } from './fds_in_flight.js';
import type { Interface, Method } from './idl.js';
import { Replier, type ErrorReply } from './replier.js';
import { SERVICE_INTERFACE } from './service_interface.js';
import { validateStruct, ValidationError } from './validate.js';

export { FdBag } from './fd_bag.js';
export { Replier, type ErrorReply } from './replier.js';

/** A checked call. */
export interface Call<Context = unknown> {
  /** Full name, such as `org.example.Thing.Do`. */
  readonly method: string;
  /** Exactly the fields that the interface declares for the method. */
  readonly parameters: Record<string, unknown>;
  /** Fds that the handler does not take are closed when it ends. */
  readonly fds: FdBag;
  readonly more: boolean;
  readonly oneway: boolean;
  /** Value passed to `serve` for this connection. */
  readonly context: Context;
}

/** Replies exactly once through `reply`. A ValidationError that it throws becomes InvalidParameter. */
export type MethodHandler<Context = unknown> = (call: Call<Context>, reply: Replier) => Promise<void> | void;

export interface ImplementedInterface<Context = unknown> {
  readonly definition: Interface;
  /** Handlers by method name without the interface. A missing handler means MethodNotImplemented. */
  readonly handlers: Readonly<Record<string, MethodHandler<Context>>>;
}

export interface ServiceOptions<Context = unknown> {
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
  readonly url: string;
  readonly interfaces: readonly ImplementedInterface<Context>[];
  /** Called when a handler throws or does not reply. Returns the error for the caller, without a stack or internals. */
  readonly internalError: (error: unknown, method: string) => ErrorReply;
  /** Checks replies and errors against the interface; a mismatch counts as an error of the handler. For tests. */
  readonly checkReplies?: boolean;
}

export interface ServeOptions<Context> {
  /** Connected socket; the connection owns it from now on. */
  readonly socket: Fd;
  readonly limits: ConnectionLimits;
  /** Lane of the peer's user; see {@link Connection}. */
  readonly lane?: LaneUser;
  /** See {@link FdsInFlight}. */
  readonly inFlight?: FdsInFlight;
  readonly context: Context;
  readonly onClose?: (reason: CloseReason) => void;
  /**
   * Called with the bytes and the number of fds of each message before it is parsed, so that rate limits also cover the cost of parsing.
   * An error reply refuses the message, and is sent even if the unparsed call is oneway.
   */
  readonly admitMessage?: (bytes: number, fds: number) => ErrorReply | null;
  /** Called with the method field of each call before the call is checked. An error reply refuses it. */
  readonly admit?: Admit;
  /** Called when a call is refused before its handler runs, with its method field: undefined when the message was not parsed. */
  readonly onRefusal?: OnRefusal;
}

type Admit = (method: unknown) => ErrorReply | null;
type OnRefusal = (error: ErrorReply, method: unknown) => void;

interface Implementation<Context> {
  readonly definition: Interface;
  readonly handlers: ReadonlyMap<string, MethodHandler<Context>>;
}

/** The handler for a call, with its definitions. */
interface Dispatch<Context> {
  readonly definition: Interface;
  readonly method: Method;
  readonly handler: MethodHandler<Context>;
}

export class Service<Context = unknown> {
  readonly #options: ServiceOptions<Context>;
  readonly #interfaces: ReadonlyMap<string, Implementation<Context>>;

  constructor(options: ServiceOptions<Context>) {
    this.#options = options;
    const own: ImplementedInterface<Context> = {
      definition: SERVICE_INTERFACE,
      handlers: {
        GetInfo: (_call, reply) => void reply.reply(this.#info()),
        GetInterfaceDescription: ({ parameters }, reply) => this.#describe(String(parameters['interface']), reply),
      },
    };
    this.#interfaces = new Map(
      [own, ...options.interfaces].map((each) => [each.definition.name, implementation(each)]),
    );
  }

  /** Serves the calls of a socket one at a time, in order. Nothing is read while a handler runs. */
  serve(options: ServeOptions<Context>): Connection {
    const { socket, limits, lane, inFlight, onClose, admitMessage, onRefusal } = options;
    const connection = new Connection({
      socket,
      limits,
      ...(lane === undefined ? {} : { lane }),
      ...(inFlight === undefined ? {} : { inFlight }),
      onClose: (reason) => onClose?.(reason),
      admit: (bytes, fds) => {
        const refusal = admitMessage?.(bytes, fds) ?? null;
        if (refusal === null) return true;
        onRefusal?.(refusal, undefined);
        connection.send({ error: refusal.name, parameters: refusal.parameters });
        return false;
      },
      onMessage: ({ value, fds }) => this.#onMessage(connection, value, new FdBag(fds, lane ?? OWN_LANE), options),
    });
    return connection;
  }

  #onMessage(connection: Connection, value: Record<string, unknown>, bag: FdBag, options: ServeOptions<Context>): void {
    connection.pause();
    void this.#answer(connection, value, bag, options).finally(() => {
      bag.closeRest();
      connection.resume();
    });
  }

  async #answer(
    connection: Connection,
    value: Record<string, unknown>,
    fds: FdBag,
    { context, admit, onRefusal }: ServeOptions<Context>,
  ): Promise<void> {
    const more = value['more'] === true;
    const oneway = value['oneway'] === true;
    const check = this.#options.checkReplies === true;
    const found = admit?.(value['method']) ?? this.#find(value);
    if ('name' in found) {
      onRefusal?.(found, value['method']);
      // Not checked: a refusal may use an error of any interface.
      const refusal = { more, oneway, check: false, method: null, definition: SERVICE_INTERFACE };
      new Replier(connection, refusal).error(found.name, found.parameters);
      return;
    }
    const { definition, method, handler } = found;
    const name = `${definition.name}.${method.name}`;
    const reply = new Replier(connection, { more, oneway, check, method, definition });
    try {
      const parameters = this.#parametersOf(value, definition, method, onRefusal);
      await handler({ method: name, parameters, fds, more, oneway, context }, reply);
      if (!reply.done) throw new Error(`the handler of ${name} did not reply`);
    } catch (error) {
      this.#answerFailure(error, name, reply);
    }
  }

  /** @throws ValidationError */
  #parametersOf(
    value: Record<string, unknown>,
    definition: Interface,
    { input }: Method,
    onRefusal?: OnRefusal,
  ): Record<string, unknown> {
    try {
      return validateStruct(definition, input, value['parameters'] ?? {});
    } catch (error) {
      if (error instanceof ValidationError) onRefusal?.(invalidParameter(error), value['method']);
      throw error;
    }
  }

  /** Returns the handler for a message, or the error for its sender. */
  #find(value: Record<string, unknown>): Dispatch<Context> | ErrorReply {
    for (const key of Object.keys(value)) {
      const wanted = Object.hasOwn(ENVELOPE, key) ? ENVELOPE[key as keyof typeof ENVELOPE] : null;
      if (wanted === null) return invalid(key.slice(0, 64));
      if (typeof value[key] !== wanted || value[key] === null) return invalid(key);
    }
    // No method supports upgrades, and a call without a reply cannot have several.
    if (value['upgrade'] === true) return invalid('upgrade');
    if (value['oneway'] === true && value['more'] === true) return invalid('more');
    const full = value['method'];
    if (typeof full !== 'string') return invalid('method');
    const dot = full.lastIndexOf('.');
    const implemented = this.#interfaces.get(full.slice(0, Math.max(dot, 0)));
    if (implemented === undefined) {
      return standardError('InterfaceNotFound', { interface: full.slice(0, Math.max(dot, 0)).slice(0, MAX_ECHO) });
    }
    const method = implemented.definition.methods[full.slice(dot + 1)];
    if (method === undefined) return standardError('MethodNotFound', { method: full.slice(0, MAX_ECHO) });
    const handler = implemented.handlers.get(method.name);
    if (handler === undefined) return standardError('MethodNotImplemented', { method: full });
    return { definition: implemented.definition, method, handler };
  }

  #answerFailure(error: unknown, method: string, reply: Replier): void {
    if (error instanceof ValidationError && !reply.done) {
      const { name, parameters } = invalidParameter(error);
      reply.error(name, parameters);
      return;
    }
    const { name, parameters } = this.#options.internalError(error, method);
    if (!reply.done) reply.error(name, parameters);
  }

  #info(): object {
    const { vendor, product, version, url } = this.#options;
    return { vendor, product, version, url, interfaces: [...this.#interfaces.keys()] };
  }

  #describe(name: string, reply: Replier): void {
    const found = this.#interfaces.get(name);
    if (found !== undefined) reply.reply({ description: found.definition.description });
    else reply.error(`${SERVICE_INTERFACE.name}.InterfaceNotFound`, { interface: name.slice(0, MAX_ECHO) });
  }
}

/** Fields of a call, https://varlink.org/Method-Call. */
const ENVELOPE = {
  method: 'string',
  parameters: 'object',
  more: 'boolean',
  oneway: 'boolean',
  upgrade: 'boolean',
} as const;
/** Maximum characters of a name that an error repeats. */
const MAX_ECHO = 256;

function implementation<Context>({ definition, handlers }: ImplementedInterface<Context>): Implementation<Context> {
  for (const name of Object.keys(handlers)) {
    if (definition.methods[name] === undefined) throw new Error(`${definition.name} has no method ${name}`);
  }
  return { definition, handlers: new Map(Object.entries(handlers)) };
}

function standardError(name: string, parameters: object): ErrorReply {
  return { name: `${SERVICE_INTERFACE.name}.${name}`, parameters };
}

function invalidParameter({ path }: ValidationError): ErrorReply {
  return invalid(path === '' ? 'parameters' : path);
}

function invalid(parameter: string): ErrorReply {
  return standardError('InvalidParameter', { parameter });
}
