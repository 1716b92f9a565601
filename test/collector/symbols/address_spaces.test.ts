import test from 'ava';
import { AddressSpaces } from '#dist/collector/symbols/address_spaces.js';
import type { CommRecord, MmapRecord, TaskRecord } from '#dist/formats/perf_record.js';

function map(pid: number, start: bigint, path: string, time: bigint, length = 0x1000n): MmapRecord {
  return { kind: 'mmap', cpuMode: 2, pid, tid: pid, start, length, pageOffset: 0n, inode: 1n, path, time };
}

function comm(pid: number, name: string, time: bigint, exec = false): CommRecord {
  return { kind: 'comm', pid, tid: pid, comm: name, exec, time };
}

function fork(pid: number, parentPid: number, time: bigint): TaskRecord {
  return { kind: 'fork', pid, tid: pid, parentPid, parentTid: parentPid, time };
}

test('an address resolves to the mapping at that time, in any order of the records', (t) => {
  const spaces = new AddressSpaces();
  spaces.add(map(1, 0x1000n, '/second', 20n));
  spaces.add(map(1, 0x1000n, '/first', 10n));
  t.is(spaces.rangeAt(1, 0x1800n, 15n)?.path, '/first');
  t.is(spaces.rangeAt(1, 0x1800n, 25n)?.path, '/second');
  t.is(spaces.rangeAt(1, 0x1800n, 5n), undefined);
  t.is(spaces.rangeAt(1, 0x2000n, 25n), undefined);
  t.is(spaces.rangeAt(2, 0x1800n, 25n), undefined);
});

test('a small mapping over a large one hides only the part it covers', (t) => {
  const spaces = new AddressSpaces();
  spaces.add(map(1, 0x1000n, '/large', 1n, 0x10000n));
  spaces.add(map(1, 0x3000n, '/small', 2n));
  t.is(spaces.rangeAt(1, 0x3800n, 3n)?.path, '/small');
  t.is(spaces.rangeAt(1, 0x5000n, 3n)?.path, '/large');
});

test('a child keeps the mappings that its parent had at the fork', (t) => {
  const spaces = new AddressSpaces();
  spaces.add(map(1, 0x1000n, '/before', 1n));
  spaces.add(fork(2, 1, 10n));
  spaces.add(map(1, 0x1000n, '/after', 20n));
  spaces.add(map(2, 0x9000n, '/own', 21n));
  t.is(spaces.rangeAt(2, 0x1000n, 30n)?.path, '/before');
  t.is(spaces.rangeAt(2, 0x9000n, 30n)?.path, '/own');
  t.is(spaces.rangeAt(1, 0x9000n, 30n), undefined);
});

test('an exec starts without mappings, and earlier samples keep their names', (t) => {
  const spaces = new AddressSpaces();
  spaces.add(map(1, 0x1000n, '/shell', 1n));
  spaces.add(comm(1, 'shell', 1n));
  spaces.add(comm(1, 'program', 10n, true));
  spaces.add(map(1, 0x5000n, '/program', 11n));
  t.is(spaces.rangeAt(1, 0x1000n, 12n), undefined);
  t.is(spaces.rangeAt(1, 0x5000n, 12n)?.path, '/program');
  t.is(spaces.rangeAt(1, 0x1000n, 5n)?.path, '/shell');
  t.is(spaces.commAt(1, 5n), 'shell');
  t.is(spaces.commAt(1, 12n), 'program');
});

test('a process without an exec of its own has the name of its parent', (t) => {
  const spaces = new AddressSpaces();
  spaces.add(comm(1, 'parent', 0n));
  spaces.add(fork(2, 1, 5n));
  t.is(spaces.commAt(2, 6n), 'parent');
  t.is(spaces.commAt(3, 6n), undefined);
});

test("processes that are each other's parents end the search", (t) => {
  const spaces = new AddressSpaces();
  spaces.add(fork(1, 2, 5n));
  spaces.add(fork(2, 1, 5n));
  t.is(spaces.rangeAt(1, 0x1000n, 6n), undefined);
});
