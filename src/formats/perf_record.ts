import type { AttrView } from './attr_view.js';
import { sampleIdBytes } from './attr_view.js';
import { ByteReader } from './byte_reader.js';
import { FormatError } from './format_error.js';
import { BRANCH_HW_INDEX, ReadBit, RecordMisc, RecordType, SampleBit } from './perf_abi.js';

/** An undecoded record. `body` follows the 8-byte header. */
export interface RawRecord {
  readonly type: number;
  readonly misc: number;
  readonly body: Uint8Array;
}

/** Fields that sample_id_all adds to records other than samples. Absent ones were not recorded. */
export interface SampleId {
  readonly pid?: number;
  readonly tid?: number;
  /** Nanoseconds of the perf clock; 0 in records that a collector synthesised. */
  readonly time?: bigint;
  readonly id?: bigint;
  readonly cpu?: number;
}

export interface SampleRecord extends SampleId {
  readonly kind: 'sample';
  /** Mode of the cpu, PERF_RECORD_MISC_*. */
  readonly cpuMode: number;
  readonly ip?: bigint;
  readonly address?: bigint;
  readonly period?: bigint;
  /** Innermost first, with PERF_CONTEXT_* marks in between. */
  readonly callchain?: readonly bigint[];
  readonly raw?: Uint8Array;
  /** Words in the order of the mask's bits; absent when the sample has no user registers. */
  readonly regsUser?: readonly bigint[];
  readonly stackUser?: Uint8Array;
}

export interface MmapRecord extends SampleId {
  readonly kind: 'mmap';
  readonly cpuMode: number;
  readonly pid: number;
  readonly tid: number;
  readonly start: bigint;
  readonly length: bigint;
  readonly pageOffset: bigint;
  /** From MMAP2 without a build-id; 0 for memory without a file. */
  readonly inode?: bigint;
  /** From MMAP2: PROT_*. */
  readonly protection?: number;
  readonly buildId?: string;
  readonly path: string;
}

export interface CommRecord extends SampleId {
  readonly kind: 'comm';
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  /** True when the name comes from an exec. */
  readonly exec: boolean;
}

/** Start (FORK) or end (EXIT) of a task. */
export interface TaskRecord extends SampleId {
  readonly kind: 'fork' | 'exit';
  readonly pid: number;
  readonly tid: number;
  readonly parentPid: number;
  readonly parentTid: number;
  readonly time: bigint;
}

export interface LostRecord extends SampleId {
  readonly kind: 'lost';
  readonly lost: bigint;
}

export interface ThrottleRecord extends SampleId {
  readonly kind: 'throttle' | 'unthrottle';
}

/** Any other record, undecoded. */
export interface OtherRecord {
  readonly kind: 'other';
  readonly type: number;
  readonly body: Uint8Array;
}

export type PerfRecord =
  SampleRecord | MmapRecord | CommRecord | TaskRecord | LostRecord | ThrottleRecord | OtherRecord;

/** @throws FormatError when the body is shorter than its counts declare */
export function decodeRecord(record: RawRecord, attr: AttrView): PerfRecord {
  switch (record.type) {
    case RecordType.SAMPLE:
      return decodeSample(record, attr);
    case RecordType.MMAP:
    case RecordType.MMAP2:
      return decodeMmap(record, attr);
    case RecordType.COMM: {
      const { head, id } = splitSampleId(record.body, attr);
      const reader = new ByteReader(head, 'PERF_RECORD_COMM');
      const pid = reader.i32();
      const tid = reader.i32();
      const exec = (record.misc & RecordMisc.COMM_EXEC) !== 0;
      return { ...id, kind: 'comm', pid, tid, comm: reader.text(reader.remaining), exec };
    }
    case RecordType.FORK:
    case RecordType.EXIT: {
      const { head, id } = splitSampleId(record.body, attr);
      const reader = new ByteReader(head, 'PERF_RECORD_FORK');
      const pid = reader.i32();
      const parentPid = reader.i32();
      const tid = reader.i32();
      const parentTid = reader.i32();
      const kind = record.type === RecordType.FORK ? 'fork' : 'exit';
      return { ...id, kind, pid, tid, parentPid, parentTid, time: reader.u64() };
    }
    case RecordType.LOST: {
      const { head, id } = splitSampleId(record.body, attr);
      const reader = new ByteReader(head, 'PERF_RECORD_LOST');
      reader.skip(8);
      return { ...id, kind: 'lost', lost: reader.u64() };
    }
    case RecordType.LOST_SAMPLES: {
      const { head, id } = splitSampleId(record.body, attr);
      return { ...id, kind: 'lost', lost: new ByteReader(head, 'PERF_RECORD_LOST_SAMPLES').u64() };
    }
    case RecordType.THROTTLE:
    case RecordType.UNTHROTTLE: {
      const { id } = splitSampleId(record.body, attr);
      return { ...id, kind: record.type === RecordType.THROTTLE ? 'throttle' : 'unthrottle' };
    }
    default:
      return { kind: 'other', type: record.type, body: record.body };
  }
}

function decodeMmap(record: RawRecord, attr: AttrView): MmapRecord {
  const { head, id } = splitSampleId(record.body, attr);
  const reader = new ByteReader(head, 'PERF_RECORD_MMAP');
  const pid = reader.i32();
  const tid = reader.i32();
  const start = reader.u64();
  const length = reader.u64();
  const pageOffset = reader.u64();
  let more: Pick<MmapRecord, 'inode' | 'protection' | 'buildId'> = {};
  if (record.type === RecordType.MMAP2) {
    if ((record.misc & RecordMisc.MMAP_BUILD_ID) !== 0) {
      const size = reader.u8();
      reader.skip(3);
      if (size > 20) throw new FormatError(`PERF_RECORD_MMAP2: build-id of ${size} bytes`);
      more = { buildId: Buffer.from(reader.slice(20).subarray(0, size)).toString('hex') };
    } else {
      reader.skip(8);
      more = { inode: reader.u64() };
      reader.skip(8);
    }
    more = { ...more, protection: reader.u32() };
    reader.skip(4);
  }
  const path = reader.text(reader.remaining);
  const cpuMode = record.misc & RecordMisc.CPUMODE_MASK;
  return { ...id, ...more, kind: 'mmap', cpuMode, pid, tid, start, length, pageOffset, path };
}

/** Decodes a sample. The order of fields is that of perf_output_sample() (kernel/events/core.c). */
function decodeSample(record: RawRecord, attr: AttrView): SampleRecord {
  const type = attr.sampleType;
  const has = (bit: bigint): boolean => (type & bit) !== 0n;
  const reader = new ByteReader(record.body, 'PERF_RECORD_SAMPLE');
  const sample: { -readonly [K in keyof SampleRecord]: SampleRecord[K] } = {
    kind: 'sample',
    cpuMode: record.misc & RecordMisc.CPUMODE_MASK,
  };
  if (has(SampleBit.IDENTIFIER)) sample.id = reader.u64();
  if (has(SampleBit.IP)) sample.ip = reader.u64();
  if (has(SampleBit.TID)) {
    sample.pid = reader.i32();
    sample.tid = reader.i32();
  }
  if (has(SampleBit.TIME)) sample.time = reader.u64();
  if (has(SampleBit.ADDR)) sample.address = reader.u64();
  if (has(SampleBit.ID)) sample.id = reader.u64();
  if (has(SampleBit.STREAM_ID)) reader.skip(8);
  if (has(SampleBit.CPU)) {
    sample.cpu = reader.u32();
    reader.skip(4);
  }
  if (has(SampleBit.PERIOD)) sample.period = reader.u64();
  if (has(SampleBit.READ)) skipReadValues(reader, attr.readFormat);
  if (has(SampleBit.CALLCHAIN)) sample.callchain = words(reader, reader.size());
  // The declared size includes the padding: size word and data together are a multiple of 8 bytes.
  if (has(SampleBit.RAW)) sample.raw = reader.slice(reader.u32());
  if (has(SampleBit.BRANCH_STACK)) {
    const count = reader.size();
    if ((attr.branchSampleType & BRANCH_HW_INDEX) !== 0n) reader.skip(8);
    reader.skip(24 * count);
  }
  if (has(SampleBit.REGS_USER) && reader.u64() !== 0n) sample.regsUser = words(reader, populationCount(attr.regsUser));
  if (has(SampleBit.STACK_USER)) {
    const size = reader.size();
    if (size > 0) {
      const stack = reader.slice(size);
      sample.stackUser = stack.subarray(0, Math.min(size, reader.size()));
    }
  }
  return sample;
}

function words(reader: ByteReader, count: number): bigint[] {
  // Checked before the allocation: a hostile count must not cost memory.
  if (count * 8 > reader.remaining) throw new FormatError(`PERF_RECORD_SAMPLE: ${count} words declared`);
  const list = new Array<bigint>(count);
  for (let index = 0; index < count; index++) list[index] = reader.u64();
  return list;
}

function skipReadValues(reader: ByteReader, format: bigint): void {
  const times = [ReadBit.TOTAL_TIME_ENABLED, ReadBit.TOTAL_TIME_RUNNING].filter((bit) => (format & bit) !== 0n).length;
  const each = 1 + [ReadBit.ID, ReadBit.LOST].filter((bit) => (format & bit) !== 0n).length;
  const count = (format & ReadBit.GROUP) !== 0n ? reader.size() : 1;
  reader.skip(8 * (times + count * each));
}

function populationCount(mask: bigint): number {
  let count = 0;
  for (let rest = mask; rest !== 0n; rest &= rest - 1n) count++;
  return count;
}

/** Splits off the sample_id trailer of a record other than a sample (struct sample_id in perf_event.h). */
function splitSampleId(body: Uint8Array, attr: AttrView): { head: Uint8Array; id: SampleId } {
  if (!attr.sampleIdAll) return { head: body, id: {} };
  const trailer = sampleIdBytes(attr.sampleType);
  if (trailer > body.length) throw new FormatError(`record of ${body.length} bytes is too short for its sample_id`);
  const head = body.subarray(0, body.length - trailer);
  const reader = new ByteReader(body, 'sample_id', head.length);
  const has = (bit: bigint): boolean => (attr.sampleType & bit) !== 0n;
  const id: { -readonly [K in keyof SampleId]: SampleId[K] } = {};
  if (has(SampleBit.TID)) {
    id.pid = reader.i32();
    id.tid = reader.i32();
  }
  if (has(SampleBit.TIME)) id.time = reader.u64();
  if (has(SampleBit.ID)) id.id = reader.u64();
  if (has(SampleBit.STREAM_ID)) reader.skip(8);
  if (has(SampleBit.CPU)) {
    id.cpu = reader.u32();
    reader.skip(4);
  }
  if (has(SampleBit.IDENTIFIER)) id.id = reader.u64();
  return { head, id };
}

/** Event id of an undecoded record, which selects the attr to decode it with; undefined when it has none. */
export function identifierOf(record: RawRecord): bigint | undefined {
  const { body } = record;
  if (body.length < 8 || record.type >= 64) return undefined;
  const offset = record.type === RecordType.SAMPLE ? 0 : body.length - 8;
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getBigUint64(offset, true);
}
