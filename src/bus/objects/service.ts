/**
 * Answers method calls on the bus. dbus-next's own way of exporting objects tells no method who called, and lets strangers
 * see errors with stack traces: none of it is used, its MessageBus only carries messages here.
 */
import { readFileSync } from 'node:fs';
import dbus from 'dbus-next';
import type { BrokerCalls } from '../broker/broker_calls.js';
import type { BusConnection } from '../transport/connect.js';
import type { Caller, Callers } from '../callers/callers.js';
import { CallError, errorReply } from '../dbus_error.js';
import { GRANT_INTERFACE, GRANTS_PATH, grantObject, grantPath, grantProperties } from './grant_object.js';
import type { GrantList } from './grant_list.js';
import { FOLDER_XML, nodeXml } from './introspection.js';
import type { Log } from '../log.js';
import type { Call, ServedMethod, ServedObject } from './served.js';
import { MAX_BODY, type IncomingCall } from '../transport/transport.js';

export const BUS_NAME = 'org.perfbroker.Broker1';
export const BROKER_PATH = '/org/perfbroker/Broker1';

const NO_REPLY_EXPECTED = 0x1;
const ALLOW_INTERACTIVE_AUTHORIZATION = 0x4;
const PEER = 'org.freedesktop.DBus.Peer';
/** Objects that lead to ours, and the next name on the way. */
const FOLDERS: Readonly<Record<string, string>> = {
  '/': 'org',
  '/org': 'perfbroker',
  '/org/perfbroker': 'Broker1',
};

export interface ServiceParts {
  readonly connection: BusConnection;
  readonly callers: Callers;
  readonly broker: BrokerCalls;
  readonly brokerObject: ServedObject;
  readonly grants: GrantList;
  readonly log: Log;
  /** Before each call that is looked at. */
  readonly onCall: () => void;
}

/** What a path stands for, to one caller. */
interface Found {
  readonly served: ServedObject | null;
  readonly children: () => Promise<readonly string[]>;
}

export class Service {
  readonly #parts: ServiceParts;
  #machineId: string | undefined;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    parts.connection.onCall = (call) => this.#onCall(call);
  }

  #onCall(call: IncomingCall): void {
    this.#parts.onCall();
    const { message, bytes } = call;
    this.#parts.callers
      // Sent within the call, while it is known whose it is.
      .run(message.sender, bytes, async (caller) => {
        try {
          this.#send(message, await this.#answer(call, caller));
        } catch (error) {
          this.#sendError(message, error);
        }
      })
      .catch((error: unknown) => this.#sendError(message, error));
  }

  async #answer({ message, body }: IncomingCall, caller: Caller): Promise<dbus.Message> {
    if (body === null) throw new CallError('LimitsExceeded', `a call has at most ${MAX_BODY} bytes`);
    if ((message.interface as string | undefined) === PEER) return this.#answerPeer(message);
    const method = await this.#method(message, caller);
    if (message.signature !== method.in)
      throw new CallError(
        'InvalidArgs',
        `${message.member} takes (${method.in}), and was called with (${message.signature})`,
      );
    const flags: number = message.flags;
    const allowInteractive = (flags & ALLOW_INTERACTIVE_AUTHORIZATION) !== 0;
    const values = await method.run({ caller, body: read(body), allowInteractive });
    return dbus.Message.newMethodReturn(message, method.out, [...values]);
  }

  /** org.freedesktop.DBus.Peer is of the connection, not of an object: every path has it. */
  #answerPeer(message: dbus.Message): dbus.Message {
    if (message.signature !== '') throw new CallError('InvalidArgs', `${message.member} takes no arguments`);
    if (message.member === 'Ping') return dbus.Message.newMethodReturn(message);
    if (message.member === 'GetMachineId') {
      this.#machineId ??= machineId();
      return dbus.Message.newMethodReturn(message, 's', [this.#machineId]);
    }
    throw new CallError('UnknownMethod', `${PEER} has no such method`);
  }

  async #method(message: dbus.Message, caller: Caller): Promise<ServedMethod> {
    const found = await this.#find(message.path, caller);
    const interfaces: Record<string, Readonly<Record<string, ServedMethod>>> = {
      'org.freedesktop.DBus.Introspectable': { Introspect: introspect(found) },
    };
    if (found.served !== null) {
      interfaces['org.freedesktop.DBus.Properties'] = propertyMethods(found.served);
      for (const [name, { methods }] of Object.entries(found.served.interfaces)) interfaces[name] = methods;
    }
    if (message.path === BROKER_PATH)
      interfaces['org.freedesktop.DBus.ObjectManager'] = { GetManagedObjects: this.#managedObjects() };
    const wanted = message.interface as string | undefined;
    if (wanted !== undefined && !Object.hasOwn(interfaces, wanted))
      throw new CallError('UnknownInterface', `${message.path} has no interface ${wanted}`);
    // Without an interface, which the specification lets a caller leave out, the first that has the method.
    const candidates = wanted === undefined ? Object.values(interfaces) : [interfaces[wanted] ?? {}];
    const methods = candidates.find((each) => Object.hasOwn(each, message.member));
    const method = methods?.[message.member];
    if (method === undefined) throw new CallError('UnknownMethod', `there is no method ${message.member} here`);
    return method;
  }

  /** A grant that the caller may not see is answered as one that there is not, with the same work done. */
  async #find(path: string, caller: Caller): Promise<Found> {
    const folder = Object.hasOwn(FOLDERS, path) ? FOLDERS[path] : undefined;
    if (folder !== undefined) return { served: null, children: () => Promise.resolve([folder]) };
    if (path === BROKER_PATH) return { served: this.#parts.brokerObject, children: () => Promise.resolve(['grants']) };
    if (path === GRANTS_PATH)
      return {
        served: null,
        children: async () => (await this.#parts.grants.visibleTo(caller)).map(({ id }) => id),
      };
    if (path.startsWith(`${GRANTS_PATH}/`)) {
      const grant = (await this.#parts.grants.visibleTo(caller)).find((each) => grantPath(each) === path);
      if (grant !== undefined)
        return { served: grantObject(grant, this.#parts.broker), children: () => Promise.resolve([]) };
    }
    throw new CallError('UnknownObject', `there is no object ${path}`);
  }

  #managedObjects(): ServedMethod {
    return {
      in: '',
      out: 'a{oa{sa{sv}}}',
      run: async ({ caller }) => {
        const grants = await this.#parts.grants.visibleTo(caller);
        return [
          Object.fromEntries(grants.map((grant) => [grantPath(grant), { [GRANT_INTERFACE]: grantProperties(grant) }])),
        ];
      },
    };
  }

  #sendError(message: dbus.Message, error: unknown): void {
    const reply = errorReply(error);
    if (reply.internal)
      this.#parts.log.error(
        `${message.member} of ${message.sender}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    // The types of dbus-next say string; it is the message.
    this.#send(message, dbus.Message.newError(message as unknown as string, reply.name, reply.message));
  }

  #send(call: dbus.Message, reply: dbus.Message): void {
    const flags: number = call.flags;
    if ((flags & NO_REPLY_EXPECTED) !== 0 || !this.#parts.callers.mayHear(call.sender)) return;
    try {
      this.#parts.connection.bus.send(reply);
    } catch (error) {
      // Values that their signature does not fit: a fault of ours, which the caller hears of all the same.
      if (reply.type !== dbus.MessageType.ERROR) return this.#sendError(call, error);
      this.#parts.log.error(`the answer to ${call.member} can not be sent: ${(error as Error).message}`);
    }
  }
}

/** @throws CallError for a body that says otherwise than its signature, and for an `h`: there are no fds. */
function read(body: () => unknown[]): unknown[] {
  try {
    return body();
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw new CallError('InvalidArgs', 'the arguments can not be read; fds do not travel over the bus here');
  }
}

function introspect({ served, children }: Found): ServedMethod {
  return { in: '', out: 's', run: async () => [nodeXml(served?.xml ?? FOLDER_XML, await children())] };
}

function propertyMethods({ interfaces }: ServedObject): Readonly<Record<string, ServedMethod>> {
  /** The empty name stands for every interface. */
  const chosen = (name: string): ServedObject['interfaces'][string][] => {
    if (name === '') return Object.values(interfaces);
    const found = Object.hasOwn(interfaces, name) ? interfaces[name] : undefined;
    // Those of the specification, which every object has, have no properties.
    if (found === undefined && !/^org\.freedesktop\.DBus\.(Properties|Introspectable|Peer|ObjectManager)$/.test(name))
      throw new CallError('UnknownInterface', `there is no interface ${name} here`);
    return found === undefined ? [] : [found];
  };
  const owner = (name: string, property: string): ServedObject['interfaces'][string] => {
    const found = chosen(name).find(({ propertyNames }) => propertyNames.includes(property));
    if (found === undefined) throw new CallError('UnknownProperty', `there is no property ${property} here`);
    return found;
  };
  return {
    Get: {
      in: 'ss',
      out: 'v',
      run: async ({ caller, body: [name, property] }: Call) => {
        const values = await owner(name as string, property as string).properties(caller);
        return [values[property as string]];
      },
    },
    GetAll: {
      in: 's',
      out: 'a{sv}',
      run: async ({ caller, body: [name] }: Call) => {
        const all = await Promise.all(chosen(name as string).map((each) => each.properties(caller)));
        return [Object.assign({}, ...all) as object];
      },
    },
    Set: {
      in: 'ssv',
      out: '',
      run: ({ body: [name, property] }: Call) => {
        owner(name as string, property as string);
        throw new CallError('PropertyReadOnly', `${String(property)} is not to be written`);
      },
    },
  };
}

function machineId(): string {
  for (const path of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const text = readFileSync(path, 'latin1').trim();
      if (/^[0-9a-f]{32}$/.test(text)) return text;
    } catch {
      // The next one.
    }
  }
  throw new CallError('Failed', 'this machine has no id');
}
