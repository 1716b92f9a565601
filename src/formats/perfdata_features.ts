import { ByteReader } from './byte_reader.js';
import { ByteWriter } from './byte_writer.js';
import { FormatError } from './format_error.js';
import { Feature, NAME_ALIGN } from './perf_abi.js';

/** An event of a perf.data file. */
export interface PerfDataEvent {
  /** As `perf evlist` prints it. */
  readonly name: string;
  /** struct perf_event_attr. */
  readonly attr: Uint8Array;
  /** PERF_EVENT_IOC_ID of every fd of the event. */
  readonly ids: readonly bigint[];
}

/** Origin of a recording: the feature sections of a perf.data file that this project supports. */
export interface RecordingInfo {
  readonly hostname: string;
  /** `uname -r` */
  readonly osRelease: string;
  /** Version of the program that recorded. */
  readonly version: string;
  /** `uname -m` */
  readonly arch: string;
  readonly cpusOnline: number;
  readonly cpusAvailable: number;
  /** argv of the recording. */
  readonly commandLine: readonly string[];
  /** Formats of the tracepoints (tools/perf/util/trace-event-info.c), if any were recorded. */
  readonly tracingData?: Uint8Array;
}

/** Feature bit and content, in bit order. */
export type FeatureSection = readonly [bit: number, content: Uint8Array];

export function encodeFeatures(info: RecordingInfo, events: readonly PerfDataEvent[]): readonly FeatureSection[] {
  const sections: FeatureSection[] = [
    [Feature.HOSTNAME, stringSection(info.hostname)],
    [Feature.OSRELEASE, stringSection(info.osRelease)],
    [Feature.VERSION, stringSection(info.version)],
    [Feature.ARCH, stringSection(info.arch)],
    [Feature.NRCPUS, new ByteWriter().u32(info.cpusAvailable).u32(info.cpusOnline).bytes],
    [Feature.CMDLINE, stringListSection(info.commandLine)],
    [Feature.EVENT_DESC, eventDescriptions(events)],
  ];
  if (info.tracingData !== undefined) sections.unshift([Feature.TRACING_DATA, info.tracingData]);
  return sections;
}

function putString(writer: ByteWriter, text: string): void {
  const padded = (Math.floor(Buffer.byteLength(text) / NAME_ALIGN) + 1) * NAME_ALIGN;
  writer.u32(padded).text(text, NAME_ALIGN);
}

function stringSection(text: string): Uint8Array {
  const writer = new ByteWriter();
  putString(writer, text);
  return writer.bytes;
}

function stringListSection(list: readonly string[]): Uint8Array {
  const writer = new ByteWriter().u32(list.length);
  for (const text of list) putString(writer, text);
  return writer.bytes;
}

function eventDescriptions(events: readonly PerfDataEvent[]): Uint8Array {
  const writer = new ByteWriter().u32(events.length).u32(events[0]?.attr.length ?? 0);
  for (const event of events) {
    writer.raw(event.attr).u32(event.ids.length);
    putString(writer, event.name);
    for (const id of event.ids) writer.u64(id);
  }
  return writer.bytes;
}

/** Decoded feature sections; absent ones are not in the file. */
export type StoredInfo = Partial<Omit<RecordingInfo, 'tracingData'>> & {
  /** In the order of the file's attrs. */
  readonly eventNames?: readonly string[];
};

/** @throws FormatError */
export function decodeFeatures(sections: readonly FeatureSection[]): StoredInfo {
  let info: StoredInfo = {};
  for (const [bit, content] of sections) info = { ...info, ...decodeFeature(bit, content) };
  return info;
}

function decodeFeature(bit: number, content: Uint8Array): StoredInfo {
  const reader = new ByteReader(content, `feature section ${bit}`);
  switch (bit) {
    case Feature.HOSTNAME:
      return { hostname: getString(reader) };
    case Feature.OSRELEASE:
      return { osRelease: getString(reader) };
    case Feature.VERSION:
      return { version: getString(reader) };
    case Feature.ARCH:
      return { arch: getString(reader) };
    case Feature.NRCPUS:
      return { cpusAvailable: reader.u32(), cpusOnline: reader.u32() };
    case Feature.CMDLINE: {
      const count = countOf(reader, 4);
      return { commandLine: Array.from({ length: count }, () => getString(reader)) };
    }
    case Feature.EVENT_DESC:
      return { eventNames: eventNames(reader) };
    default:
      return {};
  }
}

function getString(reader: ByteReader): string {
  return reader.text(reader.u32());
}

/** Reads a count of entries of at least `entryBytes` each; rejects more than fit before any allocation. */
function countOf(reader: ByteReader, entryBytes: number): number {
  const count = reader.u32();
  if (count * entryBytes > reader.remaining) throw new FormatError(`feature section declares ${count} entries`);
  return count;
}

function eventNames(reader: ByteReader): readonly string[] {
  const count = countOf(reader, 8);
  const attrBytes = reader.u32();
  return Array.from({ length: count }, () => {
    reader.skip(attrBytes);
    const ids = reader.u32();
    const name = getString(reader);
    reader.skip(8 * ids);
    return name;
  });
}
