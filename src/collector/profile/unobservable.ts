import type { PerfDataReader } from '../../formats/perfdata_reader.js';

/** A program that ran without events. */
export interface UnobservableProgram {
  readonly pid: number;
  readonly comm: string;
}

/**
 * Programs whose events the kernel removed at their exec: setuid, setgid, with file capabilities, or not readable
 * (begin_new_exec, fs/exec.c). Their records end with the COMM record of the exec; the MMAP2 records that follow every
 * other exec are missing.
 * @param reader of a recording with comm, comm_exec, mmap or mmap2, and task records
 */
export function unobservablePrograms(reader: Pick<PerfDataReader, 'records'>): readonly UnobservableProgram[] {
  const executed = new Map<number, { readonly comm: string; readonly time: bigint }>();
  const mapped = new Map<number, bigint>();
  for (const { record } of reader.records()) {
    // The file is not sorted by time: each cpu's records follow each other.
    if (record.kind === 'comm' && record.exec) {
      const { time = 0n, comm } = record;
      if (time >= (executed.get(record.pid)?.time ?? 0n)) executed.set(record.pid, { comm, time });
    } else if (record.kind === 'mmap') {
      const { time = 0n } = record;
      if (time > (mapped.get(record.pid) ?? -1n)) mapped.set(record.pid, time);
    }
  }
  return [...executed]
    .filter(([pid, { time }]) => (mapped.get(pid) ?? -1n) < time)
    .map(([pid, { comm }]) => ({ pid, comm }));
}
