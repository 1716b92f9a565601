import { withCounting, withSampling } from '../../model/events/event_defaults.js';
import type { EventSpec, Sampling } from '../../model/event.js';
import { eventToJson } from '../../interfaces/event_json.js';
import { MAX_EVENTS, refuse } from '../../model/events/event_rules.js';
import { parseEvents } from '../../model/events/syntax/event_syntax.js';
import { CallError } from '../dbus_error.js';
import type { Json } from './variants.js';

type JsonObject = Readonly<Record<string, Json>>;

const KEYS = ['name', 'frequency', 'period', 'callchain', 'inherit', 'enableOnExec'];

/**
 * Expands the events of a caller on the bus. Each has the JSON form of the interface, or a `name` in perf's syntax: with a
 * `frequency` (Hz) or a `period` it samples, otherwise it counts; `callchain`, `inherit`, `enableOnExec` are booleans.
 * A name may denote several events (`{cycles,instructions}:u`, `task-clock,page-faults`).
 * @throws CallError, BrokerError InvalidEvent
 */
export function expandEvents(events: Json): Json {
  if (!Array.isArray(events)) throw new CallError('InvalidArgs', 'events is not a list');
  const list = events as readonly Json[];
  // A leader is an index and must refer to the same event after expansion.
  const expanded: Json[] = [];
  const firstOf: number[] = [];
  for (const [index, event] of list.entries()) {
    const path = `events[${index}]`;
    firstOf.push(expanded.length);
    if (isNamed(event)) expanded.push(...fromName(event, path, expanded.length));
    else expanded.push(withLeader(event, path, firstOf));
    // A short name can denote many events: stop at the number that the broker accepts.
    if (expanded.length > MAX_EVENTS) refuse('too-many-events', `the list denotes more than ${MAX_EVENTS} events`);
  }
  return expanded;
}

function isNamed(event: Json): event is JsonObject {
  return typeof event === 'object' && event !== null && 'name' in event && !('source' in event) && !('attr' in event);
}

function withLeader(event: Json, path: string, firstOf: readonly number[]): Json {
  if (typeof event !== 'object' || event === null || !('leader' in event)) return event;
  const { leader } = event;
  const moved = typeof leader === 'number' ? firstOf[leader] : undefined;
  if (moved === undefined) throw new CallError('InvalidArgs', `${path}.leader is not the index of an earlier event`);
  return { ...event, leader: moved };
}

function fromName(event: JsonObject, path: string, offset: number): Json[] {
  const unknown = Object.keys(event).find((key) => !KEYS.includes(key));
  if (unknown !== undefined)
    throw new CallError('InvalidArgs', `${path}.${unknown} is not a field of an event by name: ${KEYS.join(', ')}`);
  const { name } = event;
  if (typeof name !== 'string') throw new CallError('InvalidArgs', `${path}.name is not a string`);
  const bare = parseEvents(name);
  const sampling = samplingOf(event, path);
  const follow = { inherit: flag(event, 'inherit', path), enableOnExec: flag(event, 'enableOnExec', path) };
  const callchain = flag(event, 'callchain', path);
  const own = bare.find((each) => each.sampling !== undefined)?.sampling;
  const rate = sampling ?? own;
  if (callchain && rate === undefined)
    throw new CallError('InvalidArgs', `${path}.callchain requires a frequency or a period`);
  const specs: readonly EventSpec[] =
    rate === undefined ? withCounting(bare, follow) : withSampling(bare, { sampling: rate, callchain, ...follow });
  return specs.map(
    (spec) =>
      eventToJson(spec.leader === undefined ? spec : { ...spec, leader: spec.leader + offset }) as unknown as Json,
  );
}

function samplingOf({ frequency, period }: JsonObject, path: string): Sampling | undefined {
  if (frequency !== undefined && period !== undefined)
    throw new CallError('InvalidArgs', `${path} has both frequency and period`);
  if (frequency !== undefined) return { frequency: positive(frequency, `${path}.frequency`, 0xffff_ffff) };
  if (period !== undefined) return { period: BigInt(positive(period, `${path}.period`, Number.MAX_SAFE_INTEGER)) };
  return undefined;
}

function positive(value: Json, path: string, maximum: number): number {
  if (typeof value !== 'number' || value < 1 || value > maximum)
    throw new CallError('InvalidArgs', `${path} is not a number from 1 to ${maximum}`);
  return value;
}

function flag(event: JsonObject, name: string, path: string): boolean {
  const value = event[name] ?? false;
  if (typeof value !== 'boolean') throw new CallError('InvalidArgs', `${path}.${name} is neither true nor false`);
  return value;
}
