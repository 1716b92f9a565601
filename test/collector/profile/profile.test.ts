import test from 'ava';
import { readProfile } from '#dist/collector/profile/profile.js';
import type { PerfRecord } from '#dist/formats/perf_record.js';

/** Names each address by its number, and counts the look-ups. */
function numbers() {
  let lookUps = 0;
  const nameOf = (kind: string, address: bigint) => {
    lookUps++;
    return { name: `${kind}_${address}`, object: kind };
  };
  return {
    user: (_pid: number, address: bigint) => nameOf('user', address),
    kernel: (address: bigint) => nameOf('kernel', address),
    lookUps: () => lookUps,
  };
}

function readerOf(...records: PerfRecord[]) {
  return {
    *records() {
      for (const record of records) yield { event: 0, record };
    },
  };
}

function sample(time: bigint, ip: bigint, cpuMode = 2): PerfRecord {
  return { kind: 'sample', cpuMode, pid: 1, tid: 1, time, ip };
}

test('equal stacks are one, with their samples added up', (t) => {
  const symbolizer = numbers();
  const profile = readProfile(readerOf(sample(1n, 10n), sample(2n, 10n), sample(3n, 20n)), symbolizer);
  t.is(profile.samples, 3);
  t.deepEqual(
    profile.stacks.map(({ comm, frames, samples }) => [comm, frames.map(({ name }) => name), samples]),
    [
      ['[1]', ['user_10'], 2],
      ['[1]', ['user_20'], 1],
    ],
  );
  t.is(symbolizer.lookUps(), 2);
});

test('an event whose every sample is in unknown memory is known with its processes', (t) => {
  const mapping: PerfRecord = {
    kind: 'mmap',
    cpuMode: 2,
    pid: 1,
    tid: 1,
    start: 0n,
    length: 100n,
    pageOffset: 0n,
    path: '/x',
    time: 0n,
  };
  const unknown = { ...numbers(), user: () => ({ name: '[unknown]', object: '[unknown]' }) };
  t.deepEqual([...readProfile(readerOf(sample(1n, 10n)), unknown).unknown], [[0, { pids: [1], unmapped: [1] }]]);
  t.deepEqual(
    [...readProfile(readerOf(mapping, sample(1n, 10n)), unknown).unknown],
    [[0, { pids: [1], unmapped: [] }]],
  );
  const kernel = sample(2n, 10n, 1);
  t.is(readProfile(readerOf(sample(1n, 10n), kernel), unknown).unknown.size, 0, 'one sample is known');
});

test('frames go from the outermost to the innermost, across both modes', (t) => {
  const chain = [0xffff_ffff_ffff_ff80n, 100n, 0xffff_ffff_ffff_fe00n, 50n, 41n];
  const record: PerfRecord = { kind: 'sample', cpuMode: 1, pid: 1, tid: 1, callchain: chain };
  const [stack] = readProfile(readerOf(record), numbers()).stacks;
  t.deepEqual(
    stack?.frames.map(({ name }) => name),
    ['user_40', 'user_50', 'kernel_100'],
  );
});

test('a thread has the name that it had at the time, also when the record of it comes later in the file', (t) => {
  const comm = (time: bigint, name: string): PerfRecord => {
    return { kind: 'comm', pid: 1, tid: 1, comm: name, exec: false, time };
  };
  const records = [sample(5n, 1n), sample(15n, 1n), comm(10n, 'later'), comm(0n, 'first')];
  t.deepEqual(
    readProfile(readerOf(...records), numbers()).stacks.map((stack) => stack.comm),
    ['first', 'later'],
  );
});

test('lost records are added up', (t) => {
  const lost: PerfRecord = { kind: 'lost', lost: 4n };
  t.is(readProfile(readerOf(lost, lost), numbers()).lost, 8n);
});
