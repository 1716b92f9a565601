/** org.perfbroker.Broker1: translates calls on the bus to calls of the broker's Varlink interface. */
import dbus from 'dbus-next';
import { BROKER_INTERFACE } from '../../interfaces/broker_interface.js';
import type { DescribeReply } from '../../interfaces/broker_types.js';
import { validateStruct } from '../../varlink/validate.js';
import type { BrokerCalls } from '../broker/broker_calls.js';
import type { Caller } from '../callers/callers.js';
import { CallError } from '../dbus_error.js';
import type { GrantList } from './grant_list.js';
import { BROKER_XML } from './introspection.js';
import { expandEvents } from './named_events.js';
import type { Call, Properties, ServedInterface, ServedObject } from './served.js';
import { fitStrings, toDictionary, toJson, type Json } from './variants.js';

/** Milliseconds that a reply to Describe is cached, because applications read properties one by one. */
const DESCRIBE_MS = 2000;
type Variant = dbus.Variant<unknown>;

export class BrokerObject implements ServedObject {
  readonly interfaces: Readonly<Record<string, ServedInterface>>;
  readonly xml: string = BROKER_XML;
  readonly #broker: BrokerCalls;
  readonly #grants: GrantList;
  #described: { readonly at: number; readonly reply: Promise<DescribeReply> } | null = null;

  constructor(broker: BrokerCalls, grants: GrantList) {
    this.#broker = broker;
    this.#grants = grants;
    this.interfaces = {
      'org.perfbroker.Broker1': {
        methods: {
          Open: { in: 'aa{sv}aa{sv}a{sv}', out: 'sua{sv}', run: (call) => this.#open(call) },
          Explain: { in: 'aa{sv}aa{sv}a{sv}', out: 'a{sv}', run: (call) => this.#explain(call) },
          Downgrade: { in: 'a{sv}asa{sv}', out: 'sua{sv}', run: (call) => this.#downgrade(call) },
          Revoke: { in: 'sa{sv}', out: 'uus', run: (call) => revoke(this.#broker, call, call.body[0], call.body[1]) },
        },
        propertyNames: [
          'Version',
          'Kernel',
          'Paranoid',
          'Capability',
          'Ceiling',
          'PolicySources',
          'MaxSampleRate',
          'Tracepoints',
          'Grants',
        ],
        properties: (caller) => this.#properties(caller),
      },
    };
  }

  async #open(call: Call): Promise<readonly unknown[]> {
    return ticket('PrepareOpen', await callBroker(this.#broker, call, 'PrepareOpen', openParameters(call.body)));
  }

  async #explain(call: Call): Promise<readonly unknown[]> {
    const reply = await callBroker(this.#broker, call, 'Explain', openParameters(call.body));
    return [decision('Explain', reply)];
  }

  async #downgrade(call: Call): Promise<readonly unknown[]> {
    const [target, drop, options] = call.body;
    const parameters = {
      ...optionsOf(options, ['target', 'drop', 'sender']),
      target: numberedTarget(toJson(target, 'target'), 'target'),
      drop: toJson(drop, 'drop'),
    };
    return ticket('PrepareDowngrade', await callBroker(this.#broker, call, 'PrepareDowngrade', parameters));
  }

  async #properties(caller: Caller): Promise<Properties> {
    const [reply, grants] = await Promise.all([this.#describe(), this.#grants.visibleTo(caller)]);
    return {
      Version: new dbus.Variant('s', reply.version),
      Kernel: new dbus.Variant('s', reply.kernel),
      Paranoid: new dbus.Variant('i', reply.paranoid),
      Capability: new dbus.Variant('s', reply.capability),
      Ceiling: new dbus.Variant('as', [...reply.ceiling]),
      PolicySources: new dbus.Variant('as', [...reply.policy]),
      MaxSampleRate: new dbus.Variant('u', reply.maxSampleRate),
      Tracepoints: new dbus.Variant('u', reply.tracepoints),
      Grants: new dbus.Variant('u', grants.length),
    };
  }

  #describe(): Promise<DescribeReply> {
    const now = performance.now();
    if (this.#described === null || now - this.#described.at > DESCRIBE_MS) {
      const reply = this.#broker.own('Describe', {}) as unknown as Promise<DescribeReply>;
      this.#described = { at: now, reply };
      reply.catch(() => (this.#described = null));
    }
    return this.#described.reply;
  }
}

/** Implements Revoke of the broker object and of grant objects. */
export async function revoke(
  broker: BrokerCalls,
  call: Call,
  grant: unknown,
  options: unknown,
): Promise<readonly unknown[]> {
  const parameters = { ...optionsOf(options, ['grant', 'sender']), grant: grant as string };
  const { fds, disabled, kept } = await callBroker(broker, call, 'Revoke', parameters);
  return [fds, disabled, kept];
}

function openParameters([targets, events, options]: readonly unknown[]): Record<string, Json> {
  const list = toJson(targets, 'targets') as readonly Json[];
  return {
    ...optionsOf(options, ['targets', 'events', 'sender']),
    targets: list.map((target, index) => numberedTarget(target, `targets[${index}]`)),
    events: expandEvents(toJson(events, 'events')),
  };
}

/** Converts options to JSON. @throws CallError for an option that would override another argument or the sender */
function optionsOf(options: unknown, taken: readonly string[]): Readonly<Record<string, Json>> {
  const json = toJson(options, '') as Readonly<Record<string, Json>>;
  const wrong = taken.find((name) => Object.hasOwn(json, name));
  if (wrong !== undefined) throw new CallError('InvalidArgs', `${wrong} is not an option`);
  return json;
}

/** Refuses fd indexes, because no fds are accepted over the bus. The broker's error would be less helpful. */
function numberedTarget(target: Json, path: string): Json {
  const fields = target as Readonly<Record<string, Json>>;
  for (const name of ['pidfd', 'directory'])
    if (Object.hasOwn(fields, name))
      throw new CallError(
        'InvalidArgs',
        `${path}.${name}: fds are not accepted over the bus; pass the pid, or call the broker on its own socket`,
      );
  return target;
}

/** Calls the broker. Checks the parameters against the interface first, so an error names the field as the caller wrote it. */
async function callBroker(
  broker: BrokerCalls,
  call: Call,
  method: string,
  parameters: Readonly<Record<string, Json>>,
): Promise<Readonly<Record<string, unknown>>> {
  const definition = BROKER_INTERFACE.methods[method];
  if (definition === undefined) throw new TypeError(`no method ${method}`);
  const option = parameters['allowInteractive'];
  const complete = {
    ...(fitStrings(BROKER_INTERFACE, definition.input, parameters) as object),
    allowInteractive: option ?? call.allowInteractive,
  };
  const sender = { uid: 0, pidfd: 0, busName: ':0.0' };
  validateStruct(BROKER_INTERFACE, definition.input, { ...complete, sender });
  return await broker.onBehalf(call.caller, method, complete);
}

function ticket(method: string, reply: Readonly<Record<string, unknown>>): readonly unknown[] {
  return [reply['ticket'], reply['expiresSeconds'], decision(method, reply)];
}

function decision(method: string, reply: Readonly<Record<string, unknown>>): Record<string, Variant> {
  const type = BROKER_INTERFACE.methods[method]?.output.fields.find(({ name }) => name === 'decision')?.type;
  const named = type?.kind === 'reference' ? BROKER_INTERFACE.types[type.name]?.type : type;
  if (named?.kind !== 'struct') throw new TypeError(`the reply of ${method} has no decision`);
  return toDictionary(BROKER_INTERFACE, named, reply['decision'] as Record<string, unknown>);
}
