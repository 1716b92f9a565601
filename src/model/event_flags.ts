/**
 * The flags of an event, one row each. Everything else derives from this table: names in JSON and their types, bits of
 * struct perf_event_attr, bits of the opener's request, letters of perf's modifiers, and the class kernel.
 * A row has exactly one of these keys:
 * - `field`: a boolean field of the event, of the same name in JSON
 * - `exclude`: a name in the event's list `exclude`
 * - `record`: a name in the event's list `records`
 * - `impliedBy`: another field of the event that sets the flag
 */

/**
 * Row n is bit n of EventFields.flags (EventFlag in native/protocol/opener.h), so new rows go to the end. `attrBit` is the bit in
 * the flag word of struct perf_event_attr (include/uapi/linux/perf_event.h), `modifier` the letter of perf-list(1).
 * `showsKernel`: the records contain addresses or objects of the kernel even where `exclude` names the kernel.
 */
export const EVENT_FLAGS = [
  { name: 'inherit', attrBit: 1, field: 'inherit' },
  { name: 'pinned', attrBit: 2, field: 'pinned', modifier: 'D' },
  { name: 'exclusive', attrBit: 3, field: 'exclusive', modifier: 'e' },
  { name: 'excludeUser', attrBit: 4, exclude: 'user', modifier: 'u' },
  { name: 'excludeKernel', attrBit: 5, exclude: 'kernel', modifier: 'k' },
  { name: 'excludeHv', attrBit: 6, exclude: 'hv', modifier: 'h' },
  { name: 'excludeIdle', attrBit: 7, exclude: 'idle', modifier: 'I' },
  { name: 'excludeHost', attrBit: 19, exclude: 'host', modifier: 'H' },
  { name: 'excludeGuest', attrBit: 20, exclude: 'guest', modifier: 'G' },
  { name: 'excludeCallchainKernel', attrBit: 21, exclude: 'callchain_kernel' },
  { name: 'excludeCallchainUser', attrBit: 22, exclude: 'callchain_user' },
  { name: 'mmap', attrBit: 8, record: 'mmap' },
  { name: 'mmapData', attrBit: 17, record: 'mmap_data' },
  { name: 'mmap2', attrBit: 23, record: 'mmap2' },
  { name: 'buildId', attrBit: 34, record: 'build_id' },
  { name: 'comm', attrBit: 9, record: 'comm' },
  { name: 'commExec', attrBit: 24, record: 'comm_exec' },
  { name: 'task', attrBit: 13, record: 'task' },
  { name: 'contextSwitch', attrBit: 26, record: 'context_switch' },
  { name: 'namespaces', attrBit: 28, record: 'namespaces', showsKernel: true },
  { name: 'ksymbol', attrBit: 29, record: 'ksymbol', showsKernel: true },
  { name: 'bpfEvent', attrBit: 30, record: 'bpf_event', showsKernel: true },
  { name: 'cgroup', attrBit: 32, record: 'cgroup' },
  { name: 'textPoke', attrBit: 33, record: 'text_poke', showsKernel: true },
  { name: 'freq', attrBit: 10, impliedBy: 'sampling' },
  { name: 'inheritStat', attrBit: 11, field: 'inheritStat' },
  { name: 'inheritThread', attrBit: 35, field: 'inheritThread' },
  { name: 'enableOnExec', attrBit: 12, field: 'enableOnExec' },
  { name: 'removeOnExec', attrBit: 36, field: 'removeOnExec' },
  { name: 'watermark', attrBit: 14, impliedBy: 'wakeup' },
  { name: 'sampleIdAll', attrBit: 18, field: 'sampleIdAll' },
  { name: 'useClockid', attrBit: 25, impliedBy: 'clock' },
  { name: 'writeBackward', attrBit: 27, field: 'writeBackward' },
] as const;

type Row = (typeof EVENT_FLAGS)[number];
export type EventFlagName = Row['name'];
/** Boolean field of an event. */
export type FlagField = Extract<Row, { field: string }>['field'];
/** `exclude_*` of perf_event_attr, by the name of what is excluded. */
export type Exclusion = Extract<Row, { exclude: string }>['exclude'];
/** Record that the kernel writes beside samples. */
export type SideRecord = Extract<Row, { record: string }>['record'];

export const FLAG_FIELDS: readonly FlagField[] = EVENT_FLAGS.flatMap((row) => ('field' in row ? [row.field] : []));
export const EXCLUSIONS: readonly Exclusion[] = EVENT_FLAGS.flatMap((row) => ('exclude' in row ? [row.exclude] : []));
export const SIDE_RECORDS: readonly SideRecord[] = EVENT_FLAGS.flatMap((row) => ('record' in row ? [row.record] : []));
/** Records for which an event needs the class kernel. */
export const KERNEL_RECORDS: readonly SideRecord[] = EVENT_FLAGS.flatMap((row) =>
  'showsKernel' in row ? [row.record] : [],
);

/** Mask of each flag in EventFields.flags. */
export const EventFlag: Readonly<Record<EventFlagName, bigint>> = Object.fromEntries(
  EVENT_FLAGS.map(({ name }, bit) => [name, 1n << BigInt(bit)]),
) as Record<EventFlagName, bigint>;

/** Every boolean field, with the value that `valueOf` gives. */
export function flagFields(valueOf: (field: FlagField) => boolean): Readonly<Record<FlagField, boolean>> {
  return Object.fromEntries(FLAG_FIELDS.map((field) => [field, valueOf(field)])) as Record<FlagField, boolean>;
}

/** Letters of perf's modifiers for boolean fields, in the order in which perf writes them. */
export const FIELD_MODIFIERS: readonly (readonly [letter: string, field: FlagField])[] = EVENT_FLAGS.flatMap((row) =>
  'modifier' in row && 'field' in row ? [[row.modifier, row.field] as const] : [],
);
/** Letters of perf's modifiers for exclusions. `I` excludes; the others name a level or machine that stays. */
export const EXCLUSION_MODIFIERS: readonly (readonly [letter: string, exclusion: Exclusion])[] = EVENT_FLAGS.flatMap(
  (row) => ('modifier' in row && 'exclude' in row ? [[row.modifier, row.exclude] as const] : []),
);
