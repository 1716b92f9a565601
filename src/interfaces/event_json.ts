/** Type `Event` of the interface to and from the model: typed fields, or the base64 bytes of a struct perf_event_attr. */
import { Buffer } from 'node:buffer';
import { decodeAttr, encodeAttr, MAX_ATTR_SIZE } from '../model/events/attr/attr.js';
import {
  BRANCH_FILTERS,
  CLOCKS,
  EXCLUSIONS,
  READ_FORMATS,
  SAMPLE_FIELDS,
  SIDE_RECORDS,
  type EventSpec,
  type Sampling,
} from '../model/event.js';
import { FLAG_FIELDS, flagFields } from '../model/event_flags.js';
import {
  checkEvent,
  MAX_EVENTS,
  MAX_PRECISE_IP,
  MAX_STACK_FRAMES,
  MAX_STACK_USER,
  MAX_U32,
  refuse,
} from '../model/events/event_rules.js';
import type { Event } from './broker_types.js';
import { deepFreeze } from '../common/freeze.js';
import { JsonFields } from './json_fields.js';
import { hex } from '../common/hex.js';
import { sourceFromJson, sourceToJson } from './source_json.js';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MAX_BASE64 = Math.ceil(MAX_ATTR_SIZE / 3) * 4;

/**
 * @param path name of the event in messages: `events[2]`
 * @returns deeply frozen; lists in the order of their tables, zeros that mean "default" left out
 * @throws BrokerError InvalidEvent naming the field
 */
export function eventFromJson(json: unknown, path = 'event'): EventSpec {
  const fields = new JsonFields(json, path);
  const leader = fields.integer('leader', 0, MAX_EVENTS - 1);
  const base = fields.has('attr') ? decodeBase64(fields, path) : readTyped(fields, path);
  fields.end();
  const spec: EventSpec = leader === undefined ? base : { ...base, leader };
  checkEvent(spec);
  return deepFreeze(spec);
}

/**
 * Reads the `events` of a request: every leader comes earlier in the list and has no leader itself.
 * @throws BrokerError InvalidEvent
 */
export function eventsFromJson(json: unknown): readonly EventSpec[] {
  if (!Array.isArray(json)) refuse('bad-value', 'events is not a list');
  if (json.length === 0 || json.length > MAX_EVENTS)
    refuse('too-many-events', `events has ${json.length} entries, not 1 to ${MAX_EVENTS}`);
  const events = json.map((item: unknown, index) => eventFromJson(item, `events[${index}]`));
  for (const [index, { leader }] of events.entries()) {
    if (leader === undefined) continue;
    if (leader >= index) refuse('leader', `events[${index}].leader ${leader} does not come earlier`);
    if (events[leader]?.leader !== undefined)
      refuse('leader', `events[${index}].leader ${leader} is itself a member of a group`);
  }
  return Object.freeze(events);
}

function decodeBase64(fields: JsonFields, path: string): EventSpec {
  const text = fields.required('attr', fields.string('attr'));
  if (text.length > MAX_BASE64) refuse('attr-size', `${path}.attr is longer than ${MAX_ATTR_SIZE} bytes`);
  if (!BASE64.test(text)) refuse('bad-value', `${path}.attr is not base64`);
  return decodeAttr(Buffer.from(text, 'base64'));
}

function readTyped(fields: JsonFields, path: string): EventSpec {
  const source = sourceFromJson(fields.required('source', fields.value('source')), `${path}.source`);
  const sampling = readSampling(fields.value('sampling'), `${path}.sampling`);
  const wakeup = readWakeup(fields.value('wakeup'), `${path}.wakeup`);
  const clock = fields.name('clock', CLOCKS);
  const regsUser = fields.u64('regsUser') ?? 0n;
  const regsIntr = fields.u64('regsIntr') ?? 0n;
  const stackUser = fields.integer('stackUser', 0, MAX_STACK_USER) ?? 0;
  const maxStack = fields.integer('maxStack', 0, MAX_STACK_FRAMES) ?? 0;
  return {
    source,
    exclude: fields.names('exclude', EXCLUSIONS),
    ...(sampling !== undefined && { sampling }),
    sampleType: fields.names('sampleType', SAMPLE_FIELDS),
    readFormat: fields.names('readFormat', READ_FORMATS),
    records: fields.names('records', SIDE_RECORDS),
    ...flagFields((field) => fields.boolean(field)),
    preciseIp: fields.integer('preciseIp', 0, MAX_PRECISE_IP) ?? 0,
    ...(wakeup !== undefined && { wakeup }),
    ...(clock !== undefined && { clock }),
    branch: fields.names('branch', BRANCH_FILTERS),
    ...(regsUser !== 0n && { regsUser }),
    ...(regsIntr !== 0n && { regsIntr }),
    ...(stackUser !== 0 && { stackUser }),
    ...(maxStack !== 0 && { maxStack }),
  };
}

function readSampling(json: unknown, path: string): Sampling | undefined {
  if (json === undefined) return undefined;
  const fields = new JsonFields(json, path);
  const period = fields.u64('period');
  const frequency = fields.integer('frequency', 1, MAX_U32);
  fields.end();
  if (period !== undefined && frequency !== undefined) refuse('conflict', `${path} has both period and frequency`);
  return frequency === undefined ? { period: fields.required('period', period) } : { frequency };
}

function readWakeup(json: unknown, path: string): EventSpec['wakeup'] {
  if (json === undefined) return undefined;
  const fields = new JsonFields(json, path);
  const events = fields.integer('events', 1, MAX_U32);
  const bytes = fields.integer('bytes', 0, MAX_U32);
  fields.end();
  if (events !== undefined && bytes !== undefined) refuse('conflict', `${path} has both events and bytes`);
  return bytes === undefined ? { events: fields.required('events', events) } : { bytes };
}

/**
 * Typed form, without fields that are false, empty or absent. A period above 2^53-1 is not a number of JSON: the event travels as `attr`.
 * @throws BrokerError InvalidEvent for such a period of an event that has a name instead of a number
 */
export function eventToJson(spec: EventSpec): Event {
  if (!hasExactNumbers(spec)) return attrToJson(spec);
  const list = <Key extends string>(key: Key, names: readonly string[]): Partial<Record<Key, readonly string[]>> =>
    (names.length === 0 ? {} : { [key]: names }) as Partial<Record<Key, readonly string[]>>;
  return {
    source: sourceToJson(spec.source),
    ...list('exclude', spec.exclude),
    ...(spec.sampling !== undefined && { sampling: samplingToJson(spec.sampling) }),
    ...list('sampleType', spec.sampleType),
    ...list('readFormat', spec.readFormat),
    ...list('records', spec.records),
    ...Object.fromEntries(FLAG_FIELDS.filter((field) => spec[field]).map((field) => [field, true])),
    ...(spec.preciseIp !== 0 && { preciseIp: spec.preciseIp }),
    ...(spec.wakeup !== undefined && { wakeup: spec.wakeup }),
    ...(spec.clock !== undefined && { clock: spec.clock }),
    ...list('branch', spec.branch),
    ...(spec.regsUser !== undefined && { regsUser: hex(spec.regsUser) }),
    ...(spec.regsIntr !== undefined && { regsIntr: hex(spec.regsIntr) }),
    ...(spec.stackUser !== undefined && { stackUser: spec.stackUser }),
    ...(spec.maxStack !== undefined && { maxStack: spec.maxStack }),
    ...(spec.leader !== undefined && { leader: spec.leader }),
  };
}

function hasExactNumbers({ sampling }: EventSpec): boolean {
  return sampling === undefined || 'frequency' in sampling || sampling.period <= BigInt(Number.MAX_SAFE_INTEGER);
}

function attrToJson(spec: EventSpec): Event {
  const attr = Buffer.from(encodeAttr(spec)).toString('base64');
  return spec.leader === undefined ? { attr } : { attr, leader: spec.leader };
}

function samplingToJson(sampling: Sampling): NonNullable<Event['sampling']> {
  return 'frequency' in sampling ? { frequency: sampling.frequency } : { period: Number(sampling.period) };
}
