import test from 'ava';
import { unobservablePrograms } from '#dist/collector/profile/unobservable.js';
import type { PerfRecord } from '#dist/formats/perf_record.js';

function readerOf(...records: PerfRecord[]) {
  return {
    *records() {
      for (const record of records) yield { event: 0, record };
    },
  };
}

function exec(pid: number, comm: string, time: bigint): PerfRecord {
  return { kind: 'comm', pid, tid: pid, comm, exec: true, time };
}

function map(pid: number, time: bigint): PerfRecord {
  return { kind: 'mmap', cpuMode: 2, pid, tid: pid, start: 0n, length: 1n, pageOffset: 0n, path: '/bin/x', time };
}

test('a program without mappings after its exec ran unobserved', (t) => {
  const programs = unobservablePrograms(readerOf(exec(1, 'seen', 10n), map(1, 11n), exec(2, 'hidden', 10n)));
  t.deepEqual([...programs], [{ pid: 2, comm: 'hidden' }]);
});

test('mappings of the program before the exec do not count, in any order of the records', (t) => {
  t.deepEqual([...unobservablePrograms(readerOf(exec(1, 'sudo', 10n), map(1, 5n)))], [{ pid: 1, comm: 'sudo' }]);
  t.deepEqual([...unobservablePrograms(readerOf(map(1, 11n), exec(1, 'seen', 10n)))], []);
});

test('a name that is set without an exec is not a program', (t) => {
  const renamed: PerfRecord = { kind: 'comm', pid: 1, tid: 1, comm: 'renamed', exec: false, time: 10n };
  t.deepEqual([...unobservablePrograms(readerOf(renamed))], []);
});
