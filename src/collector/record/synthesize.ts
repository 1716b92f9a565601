import { readFileSync, readdirSync } from 'node:fs';
import { ByteWriter } from '../../formats/byte_writer.js';
import { RecordMisc, RecordType } from '../../formats/perf_abi.js';
import { parseMaps } from './maps.js';

/** A process that is already running when a recording begins. */
export interface ExistingProcess {
  /** In this process's pid namespace, in which /proc is read. */
  readonly pid: number;
  /** The same process and its threads as numbered in samples: in the broker's pid namespace. Absent: the same numbers. */
  readonly recorded?: { readonly pid: number; readonly tids: readonly number[] };
}

const PROT_EXEC = 4;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
/** TASK_COMM_LEN is 16; kernel threads may have longer names. */
const MAX_COMM_BYTES = 64;
/** A path is at most PATH_MAX, and a record's size is a u16. */
const MAX_PATH_BYTES = 4096;

/**
 * Writes the records that the kernel would have written if the recording had started before the process: COMM for every
 * thread and MMAP2 for every executable mapping, at time 0. Maps that may not be read (of other users) are left out, and
 * samples there stay without names.
 */
export class Synthesizer {
  /** Processes whose maps may not be read, by their number in /proc. */
  readonly unreadable: number[] = [];
  readonly #trailer: number;
  readonly #sink: (records: Uint8Array) => void;

  /**
   * @param trailer bytes of the sample_id that ends each record
   * @param sink receives whole records; the bytes are valid during the call only
   */
  constructor(trailer: number, sink: (records: Uint8Array) => void) {
    this.#trailer = trailer;
    this.#sink = sink;
  }

  /** @returns false when the process is gone, or its threads may not be read */
  process({ pid, recorded }: ExistingProcess): boolean {
    const writer = new ByteWriter(4096);
    const tids = numericEntries(`/proc/${pid}/task`);
    const recordedPid = recorded?.pid ?? pid;
    for (const [index, tid] of tids.entries()) {
      // Every pid namespace numbers threads in the order of their creation, so that lists of equal length correspond.
      const recordedTid =
        recorded === undefined ? tid : recorded.tids.length === tids.length ? recorded.tids[index] : undefined;
      const comm = readOptional(`/proc/${pid}/task/${tid}/comm`);
      if (recordedTid !== undefined && comm !== undefined) this.#comm(writer, recordedPid, recordedTid, comm);
    }
    const maps = this.#maps(pid);
    for (const mapping of maps === undefined ? [] : parseMaps(maps.toString('utf8'))) {
      if ((mapping.protection & PROT_EXEC) === 0) continue;
      this.#record(writer, RecordType.MMAP2, RecordMisc.USER, () => {
        writer.u32(recordedPid).u32(recordedPid);
        writer
          .u64(mapping.start)
          .u64(mapping.end - mapping.start)
          .u64(mapping.offset);
        writer.u32(mapping.major).u32(mapping.minor).u64(mapping.inode).u64(0);
        writer.u32(mapping.protection).u32(mapping.shared ? MAP_SHARED : MAP_PRIVATE);
        writer.text(cut(mapping.path === '' ? '//anon' : mapping.path, MAX_PATH_BYTES), 8);
      });
    }
    this.#sink(writer.bytes);
    return tids.length > 0;
  }

  /** Describes every process that is visible in /proc. @returns their number */
  allProcesses(): number {
    return numericEntries('/proc').filter((pid) => this.process({ pid })).length;
  }

  /**
   * Describes the location of the kernel's text, for perf, which itself names kernel frames from kallsyms.
   * @param text address of `_text`
   */
  kernel(text: bigint): void {
    const writer = new ByteWriter();
    this.#record(writer, RecordType.MMAP, RecordMisc.KERNEL, () => {
      writer.u32(0xffff_ffff).u32(0);
      writer
        .u64(text)
        .u64(0xffff_ffff_ffff_ffffn - text)
        .u64(text);
      writer.text('[kernel.kallsyms]_text', 8);
    });
    this.#sink(writer.bytes);
  }

  /** Reports lost records that no LOST record of the kernel reports. */
  lost(count: bigint): void {
    const writer = new ByteWriter();
    this.#record(writer, RecordType.LOST, 0, () => writer.u64(0).u64(count));
    this.#sink(writer.bytes);
  }

  #maps(pid: number): Buffer | undefined {
    try {
      return readFileSync(`/proc/${pid}/maps`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES' || code === 'EPERM') this.unreadable.push(pid);
      return undefined;
    }
  }

  #comm(writer: ByteWriter, pid: number, tid: number, comm: Buffer): void {
    this.#record(writer, RecordType.COMM, 0, () => {
      writer
        .u32(pid)
        .u32(tid)
        .text(cut(comm.toString('utf8').replace(/\n$/, ''), MAX_COMM_BYTES), 8);
    });
  }

  #record(writer: ByteWriter, type: number, misc: number, body: () => void): void {
    const start = writer.length;
    writer.u32(type).u16(misc).u16(0);
    body();
    writer.zeros(this.#trailer);
    writer.patchU16(start + 6, writer.length - start);
  }
}

function numericEntries(directory: string): readonly number[] {
  try {
    return readdirSync(directory)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch {
    return [];
  }
}

function readOptional(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function cut(text: string, most: number): string {
  return Buffer.byteLength(text) <= most ? text : Buffer.from(text).subarray(0, most).toString('utf8');
}
