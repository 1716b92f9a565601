/**
 * struct perf_event_attr to and from the typed event, little endian. The bytes are untrusted: every bit is in the model or refused by
 * name, so a decoded event encodes to the same bytes, except for trailing zeros and for `disabled`, which every event has.
 */
import {
  ATTR_SIZE_LATEST,
  ATTR_SIZE_VER0,
  ATTR_SIZE_VER7,
  ATTR_SIZE_VER8,
  ATTR_SIZES,
  AUX_ACTIONS,
  FLAG_BITS,
  OFFSET,
  PRECISE_IP_BIT,
  UNSUPPORTED_FIELDS,
} from './attr_layout.js';
import { sourceOfAttr } from './attr_source.js';
import { namesOf } from '../../../common/bits.js';
import {
  BRANCH_FILTERS,
  CLOCKS,
  READ_FORMATS,
  SAMPLE_FIELDS,
  type Clock,
  type EventSpec,
  type Sampling,
} from '../../event.js';
import { CLOCK_IDS, eventFields, type Resolved } from '../event_fields.js';
import { EVENT_FLAGS, EventFlag, flagFields, type EventFlagName } from '../../event_flags.js';
import { checkEvent, MAX_U32, refuse } from '../event_rules.js';
import { deepFreeze } from '../../../common/freeze.js';

/** The kernel also takes no larger attr than a page. */
export const MAX_ATTR_SIZE = 4096;

export interface EncodeOptions {
  /** Set the `disabled` bit. Default: clear. */
  readonly disabled?: boolean;
}

/**
 * @returns VER7 (128 bytes), or VER8 (136) when config3 is used
 * @throws BrokerError InvalidEvent when a PMU or tracepoint name is not resolved
 */
export function encodeAttr(spec: EventSpec, resolved: Resolved = {}, options: EncodeOptions = {}): Uint8Array {
  const fields = eventFields(spec, resolved);
  const size = fields.config3 === 0n ? ATTR_SIZE_VER7 : ATTR_SIZE_VER8;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(OFFSET.type, fields.type, true);
  view.setUint32(OFFSET.size, size, true);
  view.setBigUint64(OFFSET.config, fields.config, true);
  view.setBigUint64(OFFSET.samplePeriod, fields.samplePeriod, true);
  view.setBigUint64(OFFSET.sampleType, fields.sampleType, true);
  view.setBigUint64(OFFSET.readFormat, fields.readFormat, true);
  view.setBigUint64(OFFSET.flags, flagWord(fields.flags, fields.preciseIp, options.disabled === true), true);
  view.setUint32(OFFSET.wakeup, fields.wakeup, true);
  view.setUint32(OFFSET.bpType, fields.bpType, true);
  view.setBigUint64(OFFSET.config1, fields.config1, true);
  view.setBigUint64(OFFSET.config2, fields.config2, true);
  view.setBigUint64(OFFSET.branchSampleType, fields.branchSampleType, true);
  view.setBigUint64(OFFSET.sampleRegsUser, fields.sampleRegsUser, true);
  view.setUint32(OFFSET.sampleStackUser, fields.sampleStackUser, true);
  view.setInt32(OFFSET.clockid, fields.clockid, true);
  view.setBigUint64(OFFSET.sampleRegsIntr, fields.sampleRegsIntr, true);
  view.setUint16(OFFSET.sampleMaxStack, fields.sampleMaxStack, true);
  if (size >= ATTR_SIZE_VER8) view.setBigUint64(OFFSET.config3, fields.config3, true);
  return bytes;
}

function flagWord(flags: bigint, preciseIp: number, disabled: boolean): bigint {
  let word = BigInt(preciseIp) << BigInt(PRECISE_IP_BIT);
  for (const [bit, name] of FLAG_BITS.entries()) {
    if (typeof name !== 'string' || name === 'precise_ip') continue;
    const isSet = name === 'disabled' ? disabled : (flags & EventFlag[name]) !== 0n;
    if (isSet) word |= 1n << BigInt(bit);
  }
  return word;
}

/**
 * @param bytes exactly as long as their size field says (0 means 64, as in the kernel)
 * @returns deeply frozen; tracepoints by id, PMUs by number, no leader
 * @throws BrokerError InvalidEvent naming the field or bit
 */
export function decodeAttr(bytes: Uint8Array): EventSpec {
  const view = wholeAttr(bytes);
  refuseUnsupported(view);
  const { flags, preciseIp } = readFlags(view.getBigUint64(OFFSET.flags, true));
  const sampling = readSampling(view.getBigUint64(OFFSET.samplePeriod, true), flags.has('freq'));
  const wakeup = readWakeup(view.getUint32(OFFSET.wakeup, true), flags.has('watermark'));
  const clock = readClock(view.getInt32(OFFSET.clockid, true), flags.has('useClockid'));
  const regsUser = view.getBigUint64(OFFSET.sampleRegsUser, true);
  const regsIntr = view.getBigUint64(OFFSET.sampleRegsIntr, true);
  const stackUser = view.getUint32(OFFSET.sampleStackUser, true);
  const maxStack = view.getUint16(OFFSET.sampleMaxStack, true);
  const spec: EventSpec = {
    source: sourceOfAttr(view),
    exclude: EVENT_FLAGS.flatMap((row) => ('exclude' in row && flags.has(row.name) ? [row.exclude] : [])),
    ...(sampling !== undefined && { sampling }),
    sampleType: maskNames('sample_type', view.getBigUint64(OFFSET.sampleType, true), SAMPLE_FIELDS),
    readFormat: maskNames('read_format', view.getBigUint64(OFFSET.readFormat, true), READ_FORMATS),
    records: EVENT_FLAGS.flatMap((row) => ('record' in row && flags.has(row.name) ? [row.record] : [])),
    ...flagFields((field) => flags.has(field)),
    preciseIp,
    ...(wakeup !== undefined && { wakeup }),
    ...(clock !== undefined && { clock }),
    branch: maskNames('branch_sample_type', view.getBigUint64(OFFSET.branchSampleType, true), BRANCH_FILTERS),
    ...(regsUser !== 0n && { regsUser }),
    ...(regsIntr !== 0n && { regsIntr }),
    ...(stackUser !== 0 && { stackUser }),
    ...(maxStack !== 0 && { maxStack }),
  };
  checkEvent(spec);
  return deepFreeze(spec);
}

/** Extends an older attr to the newest size with zeros, as the kernel does. */
function wholeAttr(bytes: Uint8Array): DataView {
  const length = bytes.byteLength;
  if (length < ATTR_SIZE_VER0) refuse('attr-size', `attr has ${length} bytes; it needs at least ${ATTR_SIZE_VER0}`);
  if (length > MAX_ATTR_SIZE) refuse('attr-size', `attr has ${length} bytes; the limit is ${MAX_ATTR_SIZE}`);
  const isPublished = ATTR_SIZES.some((size) => size === length);
  if (!isPublished && (length < ATTR_SIZE_LATEST || length % 8 !== 0))
    refuse('attr-size', `attr has ${length} bytes, which is not a published size`);
  const size = new DataView(bytes.buffer, bytes.byteOffset, length).getUint32(OFFSET.size, true);
  if ((size === 0 ? ATTR_SIZE_VER0 : size) !== length)
    refuse('attr-size', `attr has ${length} bytes, but its size field says ${size}`);
  if (bytes.subarray(ATTR_SIZE_LATEST).some((byte) => byte !== 0))
    refuse('unknown-bit', `bytes beyond ${ATTR_SIZE_LATEST} are not zero`);
  const whole = new Uint8Array(ATTR_SIZE_LATEST);
  whole.set(bytes.subarray(0, ATTR_SIZE_LATEST));
  return new DataView(whole.buffer);
}

function refuseUnsupported(view: DataView): void {
  for (const { name, offset, bytes } of UNSUPPORTED_FIELDS) {
    for (let at = offset; at < offset + bytes; at++)
      if (view.getUint8(at) !== 0)
        refuse(name.startsWith('__') ? 'unknown-bit' : 'unsupported', `${name} is not supported`);
  }
  const action = namesOf(BigInt(view.getUint32(OFFSET.auxAction, true)), AUX_ACTIONS, (bit) =>
    refuse('unknown-bit', `aux_action bit ${bit} is unknown`),
  );
  if (action[0] !== undefined) refuse('unsupported', `${action[0]} is not supported`);
}

function readFlags(word: bigint): { flags: ReadonlySet<EventFlagName>; preciseIp: number } {
  const flags = new Set<EventFlagName>();
  for (let bit = 0; bit < 64; bit++) {
    if (((word >> BigInt(bit)) & 1n) === 0n) continue;
    const name = FLAG_BITS[bit];
    if (name === undefined) refuse('unknown-bit', `flag bit ${bit} is unknown`);
    if (typeof name === 'object') refuse('unsupported', `${name.unsupported} is not supported`);
    if (name !== 'disabled' && name !== 'precise_ip') flags.add(name);
  }
  return { flags, preciseIp: Number((word >> BigInt(PRECISE_IP_BIT)) & 3n) };
}

function readSampling(period: bigint, isFrequency: boolean): Sampling | undefined {
  if (!isFrequency) return period === 0n ? undefined : { period };
  if (period === 0n) refuse('conflict', 'freq is set without sample_freq');
  if (period > BigInt(MAX_U32)) refuse('bad-value', `sample_freq ${period} is not 1 to 2^32-1 Hz`);
  return { frequency: Number(period) };
}

function readWakeup(wakeup: number, isWatermark: boolean): EventSpec['wakeup'] {
  if (isWatermark) return { bytes: wakeup };
  return wakeup === 0 ? undefined : { events: wakeup };
}

function readClock(clockid: number, isUsed: boolean): Clock | undefined {
  if (!isUsed) return clockid === 0 ? undefined : refuse('conflict', `clockid ${clockid} is set without use_clockid`);
  return (
    CLOCKS.find((name) => CLOCK_IDS[name] === clockid) ?? refuse('unknown-name', `clockid ${clockid} is not supported`)
  );
}

function maskNames<Name extends string>(field: string, mask: bigint, table: readonly Name[]): readonly Name[] {
  return namesOf(mask, table, (bit) => refuse('unknown-bit', `${field} bit ${bit} is unknown`));
}
