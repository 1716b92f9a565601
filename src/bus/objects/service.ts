/**
 * Serves method calls on the bus. dbus-next's own export of objects does not tell a method its caller, and sends stack traces to
 * callers. It is not used: its MessageBus only transports messages.
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
import type { Logger } from '../../common/logger.js';
import type { Call, ServedMethod, ServedObject } from './served.js';
import { MAX_BODY, type IncomingCall } from '../transport/transport.js';

export const BUS_NAME = 'org.perfbroker.Broker1';
export const BROKER_PATH = '/org/perfbroker/Broker1';

const NO_REPLY_EXPECTED = 0x1;
const ALLOW_INTERACTIVE_AUTHORIZATION = 0x4;
const PEER = 'org.freedesktop.DBus.Peer';
/** Parent objects of the broker object, each with the name of its child. */
const FOLDERS: Readonly<Record<string, string>> = {
  '/': 'org',
  '/org': 'perfbroker',
  '/org/perfbroker': 'Broker1',
};

export interface ServiceDependencies {
  readonly connection: BusConnection;
  readonly callers: Callers;
  readonly broker: BrokerCalls;
  readonly brokerObject: ServedObject;
  readonly grants: GrantList;
  readonly log: Logger;
  /** Called before each call. */
  readonly onCall: () => void;
}

/** The object at a path, as seen by one caller. */
interface Found {
  readonly served: ServedObject | null;
  readonly children: () => Promise<readonly string[]>;
}

export class Service {
  readonly #dependencies: ServiceDependencies;
  #machineId: string | undefined;

  constructor(dependencies: ServiceDependencies) {
    this.#dependencies = dependencies;
    dependencies.connection.onCall = (call) => this.#onCall(call);
  }

  #onCall(call: IncomingCall): void {
    this.#dependencies.onCall();
    const { message, bytes } = call;
    this.#dependencies.callers
      // The reply is sent within the call, while the caller's entry exists and is charged.
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

  /** org.freedesktop.DBus.Peer belongs to the connection: every path has it. */
  #answerPeer(message: dbus.Message): dbus.Message {
    if (message.signature !== '') throw new CallError('InvalidArgs', `${message.member} takes no arguments`);
    if (message.member === 'Ping') return dbus.Message.newMethodReturn(message);
    if (message.member === 'GetMachineId') {
      this.#machineId ??= machineId();
      return dbus.Message.newMethodReturn(message, 's', [this.#machineId]);
    }
    throw new CallError('UnknownMethod', `${PEER} does not have this method`);
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
    // The specification allows a call without an interface: the first interface with the method is used.
    const candidates = wanted === undefined ? Object.values(interfaces) : [interfaces[wanted] ?? {}];
    const methods = candidates.find((each) => Object.hasOwn(each, message.member));
    const method = methods?.[message.member];
    if (method === undefined) throw new CallError('UnknownMethod', `${message.path} has no method ${message.member}`);
    return method;
  }

  /** Finds an object. An invisible grant has the same error and cost as a missing one. */
  async #find(path: string, caller: Caller): Promise<Found> {
    const folder = Object.hasOwn(FOLDERS, path) ? FOLDERS[path] : undefined;
    if (folder !== undefined) return { served: null, children: () => Promise.resolve([folder]) };
    if (path === BROKER_PATH)
      return { served: this.#dependencies.brokerObject, children: () => Promise.resolve(['grants']) };
    if (path === GRANTS_PATH)
      return {
        served: null,
        children: async () => (await this.#dependencies.grants.visibleTo(caller)).map(({ id }) => id),
      };
    if (path.startsWith(`${GRANTS_PATH}/`)) {
      const grant = (await this.#dependencies.grants.visibleTo(caller)).find((each) => grantPath(each) === path);
      if (grant !== undefined)
        return { served: grantObject(grant, this.#dependencies.broker), children: () => Promise.resolve([]) };
    }
    throw new CallError('UnknownObject', `there is no object ${path}`);
  }

  #managedObjects(): ServedMethod {
    return {
      in: '',
      out: 'a{oa{sa{sv}}}',
      run: async ({ caller }) => {
        const grants = await this.#dependencies.grants.visibleTo(caller);
        return [
          Object.fromEntries(grants.map((grant) => [grantPath(grant), { [GRANT_INTERFACE]: grantProperties(grant) }])),
        ];
      },
    };
  }

  #sendError(message: dbus.Message, error: unknown): void {
    const reply = errorReply(error);
    if (reply.internal)
      this.#dependencies.log.error(
        `${message.member} of ${message.sender}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    // The types of dbus-next are wrong here: newError takes the message.
    this.#send(message, dbus.Message.newError(message as unknown as string, reply.name, reply.message));
  }

  #send(call: dbus.Message, reply: dbus.Message): void {
    const flags: number = call.flags;
    if ((flags & NO_REPLY_EXPECTED) !== 0 || !this.#dependencies.callers.mayReceive(call.sender)) return;
    try {
      this.#dependencies.connection.bus.send(reply);
    } catch (error) {
      // The values do not match the signature: a fault of this process, which is reported to the caller.
      if (reply.type !== dbus.MessageType.ERROR) return this.#sendError(call, error);
      this.#dependencies.log.error(`the reply to ${call.member} cannot be sent: ${(error as Error).message}`);
    }
  }
}

/** Reads the body of a call. @throws CallError for a body that does not match its signature, and for fds (`h`) */
function read(body: () => unknown[]): unknown[] {
  try {
    return body();
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw new CallError('InvalidArgs', 'the arguments cannot be read; fds are not accepted over the bus');
  }
}

function introspect({ served, children }: Found): ServedMethod {
  return { in: '', out: 's', run: async () => [nodeXml(served?.xml ?? FOLDER_XML, await children())] };
}

function propertyMethods({ interfaces }: ServedObject): Readonly<Record<string, ServedMethod>> {
  /** Returns the interfaces with this name; the empty name means all. */
  const chosen = (name: string): ServedObject['interfaces'][string][] => {
    if (name === '') return Object.values(interfaces);
    const found = Object.hasOwn(interfaces, name) ? interfaces[name] : undefined;
    // The standard interfaces have no properties.
    if (found === undefined && !/^org\.freedesktop\.DBus\.(Properties|Introspectable|Peer|ObjectManager)$/.test(name))
      throw new CallError('UnknownInterface', `this object has no interface ${name}`);
    return found === undefined ? [] : [found];
  };
  const owner = (name: string, property: string): ServedObject['interfaces'][string] => {
    const found = chosen(name).find(({ propertyNames }) => propertyNames.includes(property));
    if (found === undefined) throw new CallError('UnknownProperty', `this object has no property ${property}`);
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
        throw new CallError('PropertyReadOnly', `${String(property)} is read-only`);
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
      // Try the next file.
    }
  }
  throw new CallError('Failed', 'this machine has no id');
}
