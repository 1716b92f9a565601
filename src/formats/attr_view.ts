import { FormatError } from './format_error.js';
import { SampleBit } from './perf_abi.js';

/** Bytes of the first published struct perf_event_attr (PERF_ATTR_SIZE_VER0). */
const VER0_BYTES = 64;
/** More than any published size. */
const MAX_BYTES = 4096;
const FLAG_SAMPLE_ID_ALL = 1n << 18n;

/** The fields of a stored `struct perf_event_attr` that define the layout of its records. */
export interface AttrView {
  readonly bytes: Uint8Array;
  readonly type: number;
  readonly config: bigint;
  readonly sampleType: bigint;
  readonly readFormat: bigint;
  readonly branchSampleType: bigint;
  readonly regsUser: bigint;
  readonly sampleIdAll: boolean;
}

/**
 * Reads the layout fields of an attr in a file. Accepts any published size and unknown bits, because the file may come from
 * a newer perf. (src/model/events/attr/attr.ts is the strict reader, for requests.)
 */
export function viewAttr(bytes: Uint8Array): AttrView {
  if (bytes.length < VER0_BYTES || bytes.length > MAX_BYTES)
    throw new FormatError(`perf_event_attr of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u64At = (offset: number): bigint => (offset + 8 <= bytes.length ? view.getBigUint64(offset, true) : 0n);
  return {
    bytes,
    type: view.getUint32(0, true),
    config: u64At(8),
    sampleType: u64At(24),
    readFormat: u64At(32),
    branchSampleType: u64At(72),
    regsUser: u64At(80),
    sampleIdAll: (u64At(40) & FLAG_SAMPLE_ID_ALL) !== 0n,
  };
}

/** Copies an attr into a struct of another size, with zeros after the end and the new size in its size field. */
export function resizeAttr(bytes: Uint8Array, size: number): Uint8Array {
  const resized = new Uint8Array(size);
  resized.set(bytes.subarray(0, size));
  new DataView(resized.buffer).setUint32(4, size, true);
  return resized;
}

/** Size of the sample_id trailer that sample_id_all appends to every record other than samples. */
export function sampleIdBytes(sampleType: bigint): number {
  const parts = [SampleBit.TID, SampleBit.TIME, SampleBit.ID, SampleBit.STREAM_ID, SampleBit.CPU, SampleBit.IDENTIFIER];
  return 8 * parts.filter((part) => (sampleType & part) !== 0n).length;
}
