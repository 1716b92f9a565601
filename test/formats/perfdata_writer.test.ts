import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { encodeTracingData, tracepointFormat } from '#dist/collector/record/tracing_data.js';
import { ByteWriter } from '#dist/formats/byte_writer.js';
import { PerfDataReader } from '#dist/formats/perfdata_reader.js';
import { PerfDataWriter } from '#dist/formats/perfdata_writer.js';
import { attrsOf, createFile, INFO, sampleRecord, writeProcessRecording } from './write_recording.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-writer-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});
const perf = spawnSync('perf', ['--version']).status === 0;

const writeFile = (name: string, finish?: boolean): string => writeProcessRecording(join(directory, name), finish);

test('perf evlist, perf script and perf report read the file', (t) => {
  if (!perf) {
    t.log('skipped: perf is missing');
    t.false(perf);
    return;
  }
  const path = writeFile('perf.data');
  const run = (...args: string[]): string => execFileSync('perf', [...args, '-i', path], { encoding: 'utf8' });
  t.is(run('evlist'), 'cpu-clock:u\npage-faults:u\n');
  t.regex(run('script', '-F', 'pid,tid,time,event,ip'), /100\/101 +0\.000005:\s+page-faults:u:\s+3000/);
  const header = run('report', '--header-only', '--stdio');
  for (const text of ['hostname : host.example', 'nrcpus avail : 4', 'arch : x86_64', 'perfbroker record a b'])
    t.true(header.includes(text), text);
});

test('perf shows a tracepoint whose format cannot be read', (t) => {
  if (!perf) {
    t.log('skipped: perf is missing');
    t.false(perf);
    return;
  }
  const format = tracepointFormat('sched:sched_switch', 300, []);
  const path = join(directory, 'tracepoint.data');
  const [attr = new Uint8Array(128)] = attrsOf('sched:sched_switch');
  const writer = new PerfDataWriter(createFile(path), [{ name: 'sched:sched_switch', attr, ids: [5n] }]);
  const record = new ByteWriter().u32(9).u16(1).u16(0);
  record.u64(5n).u64(0x1000n).u32(100).u32(101).u64(5000).u32(1).u32(0).u64(1).u64(0);
  record.u32(12).u16(300).u16(0).u32(100).u32(0);
  record.patchU16(6, record.length);
  writer.write(record.bytes);
  writer.finish({ ...INFO, tracingData: encodeTracingData([format]) }, true);
  writer.close();
  const { stdout, stderr } = spawnSync('perf', ['script', '-i', path], { encoding: 'utf8' });
  t.regex(stdout, /sched:sched_switch:/);
  t.is(stderr, '');
});

test('after a write error the file ends with its last complete record', (t) => {
  const path = join(directory, 'incomplete.data');
  const [attr = new Uint8Array(128)] = attrsOf('cpu-clock:u');
  {
    using writer = new PerfDataWriter(createFile(path), [{ name: 'cpu-clock:u', attr, ids: [11n] }]);
    const sample = sampleRecord(11n, 0x5000n, []);
    writer.write(sample);
    // A record of 64 bytes, of which 20 were written.
    writer.write(new ByteWriter().u32(9).u16(2).u16(64).zeros(12).bytes);
    t.is(writer.finish(INFO, false), sample.length);
  }
  using reader = new PerfDataReader(path);
  t.true(reader.finished);
  t.is(reader.info.hostname, INFO.hostname);
  t.deepEqual(
    [...reader.records()].map(({ record }) => record.kind === 'sample' && record.ip),
    [0x5000n],
  );
});
