/** Parsing of what a drain wrote, independent of the code under test. */
export interface StreamRecord {
  readonly type: number;
  readonly size: number;
  readonly offset: number;
}

export const RECORD_LOST = 2;
export const RECORD_EXIT = 4;
export const RECORD_SAMPLE = 9;
export const FINISHED_ROUND = 68;

/** @throws when the bytes are anything but whole records */
export function recordStream(bytes: Buffer): StreamRecord[] {
  const records: StreamRecord[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const type = bytes.readUInt32LE(offset);
    const size = bytes.readUInt16LE(offset + 6);
    if (size < 8 || offset + size > bytes.length || type === 0 || type > 100) {
      throw new Error(`no record at ${offset} of ${bytes.length}: type ${type}, size ${size}`);
    }
    records.push({ type, size, offset });
    offset += size;
  }
  return records;
}

export function countType(records: readonly StreamRecord[], type: number): number {
  return records.filter((record) => record.type === type).length;
}

/** Sum of the lost fields of the PERF_RECORD_LOST records. */
export function lostIn(bytes: Buffer, records: readonly StreamRecord[]): bigint {
  let lost = 0n;
  for (const record of records) if (record.type === RECORD_LOST) lost += bytes.readBigUInt64LE(record.offset + 16);
  return lost;
}
