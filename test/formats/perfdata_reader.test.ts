import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import { FormatError } from '#dist/formats/format_error.js';
import { PerfDataReader } from '#dist/formats/perfdata_reader.js';
import { INFO, writeProcessRecording } from './write_recording.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-perfdata-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});
const perf = spawnSync('perf', ['--version']).status === 0;

const writeFile = (name: string, finish?: boolean): string => writeProcessRecording(join(directory, name), finish);

test('events, names, ids, features and records are read back as they were written', (t) => {
  const reader = new PerfDataReader(writeFile('round.data'));
  t.true(reader.finished);
  t.deepEqual(
    reader.events.map(({ name, ids }) => ({ name, ids })),
    [
      { name: 'cpu-clock:u', ids: [11n, 12n] },
      { name: 'page-faults:u', ids: [21n, 22n] },
    ],
  );
  t.like(reader.info, INFO);
  const all = [...reader.records()];
  const maps = all.flatMap(({ record }) => (record.kind === 'mmap' ? [record] : []));
  t.true(maps.some(({ path, pid }) => path === process.execPath && pid === 100));
  t.true(maps.every(({ protection = 0, time }) => (protection & 4) === 4 && time === 0n));
  const samples = all.filter(({ record }) => record.kind === 'sample');
  t.deepEqual(
    samples.map(({ event }) => event),
    [0, 1],
  );
  t.like(samples[0]?.record, {
    id: 12n,
    ip: 0x1000n,
    pid: 100,
    tid: 101,
    time: 5000n,
    cpu: 1,
    period: 77n,
    callchain: [0xfffffffffffffe00n, 0x1000n, 0x2000n],
  });
  reader.close();
});

test('an unfinished file is read up to its last complete record', (t) => {
  const path = writeFile('unfinished.data', false);
  const size = readFileSync(path).length;
  truncateSync(path, size - 5);
  const reader = new PerfDataReader(path);
  t.false(reader.finished);
  t.is(reader.events[0]?.name, 'cpu-clock:u', 'named by its attr');
  t.is([...reader.records()].filter(({ record }) => record.kind === 'sample').length, 1);
  reader.close();
});

test('a file recorded by perf is read: software events with call graphs', (t) => {
  const path = join(directory, 'perfs-own.data');
  const args = ['record', '-q', '-g', '-e', 'cpu-clock,page-faults', '-o', path, '--', 'ls', '-R', '/usr/lib/python3'];
  const run = perf ? spawnSync('perf', args, { stdio: 'ignore' }) : undefined;
  if (run?.status !== 0) {
    t.log('skipped: perf is missing, or may not record here');
    t.not(run?.status, 0);
    return;
  }
  const reader = new PerfDataReader(path);
  t.deepEqual(
    reader.events.map((event) => event.name),
    ['cpu-clock', 'page-faults'],
  );
  const records = [...reader.records()];
  const samples = records.flatMap(({ event, record }) => (record.kind === 'sample' ? [{ event, record }] : []));
  t.deepEqual([...new Set(samples.map(({ event }) => event))].sort(), [0, 1]);
  t.true(samples.every(({ record }) => (record.callchain?.length ?? 0) > 0));
  t.true(records.some(({ record }) => record.kind === 'comm' && record.comm === 'ls' && record.exec));
  reader.close();
});

/** Reads everything; only a FormatError may come of it. */
function readAll(t: ExecutionContext, path: string): 'read' | 'refused' {
  try {
    const reader = new PerfDataReader(path);
    try {
      for (const { record } of reader.records()) if (record.kind === 'sample' && record.pid === -7) t.log(record.pid);
    } finally {
      reader.close();
    }
    return 'read';
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return 'refused';
  }
}

test('a file truncated at any position is rejected with a FormatError', (t) => {
  const whole = readFileSync(writeFile('whole.data'));
  const path = join(directory, 'cut.data');
  const outcomes = { read: 0, refused: 0 };
  for (let length = 0; length < whole.length; length += 13) {
    writeFileSync(path, whole.subarray(0, length));
    outcomes[readAll(t, path)]++;
  }
  t.deepEqual(outcomes.read, 0, 'the feature sections come last, so that no cut goes unseen');
});

test('huge counts, sizes and offsets anywhere in the file are rejected or harmless', (t) => {
  const whole = readFileSync(writeFile('whole2.data'));
  const path = join(directory, 'hostile.data');
  const outcomes = { read: 0, refused: 0 };
  for (let at = 8; at + 8 <= Math.min(whole.length, 2400); at += 8)
    for (const value of [0xffff_ffff_ffff_ffffn, 0x7fff_ffff_ffff_ffffn, 0x1_0000_0000n, 0n]) {
      const bytes = Buffer.from(whole);
      bytes.writeBigUInt64LE(value, at);
      writeFileSync(path, bytes);
      outcomes[readAll(t, path)]++;
    }
  t.true(outcomes.refused > 100, JSON.stringify(outcomes));
});

test('files that are not recordings are rejected with the reason', (t) => {
  const path = join(directory, 'none.data');
  writeFileSync(path, 'x'.repeat(200));
  t.throws(() => new PerfDataReader(path), { instanceOf: FormatError, message: /not a perf.data file/ });
  writeFileSync(path, '');
  t.throws(() => new PerfDataReader(path), { instanceOf: FormatError });
  t.throws(() => new PerfDataReader(directory), { instanceOf: FormatError, message: /not a regular file/ });
  t.throws(() => new PerfDataReader(join(directory, 'absent')), { code: 'ENOENT' });
});
