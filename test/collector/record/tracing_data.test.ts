import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { encodeTracingData, tracepointFormat } from '#dist/collector/record/tracing_data.js';

test('a format comes from tracefs with its own number', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'perfbroker-tracefs-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'events/sched/sched_switch'), { recursive: true });
  const format = 'name: sched_switch\nID: 314\nformat:\n';
  writeFileSync(join(root, 'events/sched/sched_switch/format'), format);
  t.deepEqual(tracepointFormat('sched:sched_switch', 1, [root]), {
    system: 'sched',
    name: 'sched_switch',
    id: 314,
    format,
  });
});

test('where tracefs cannot be read a substitute has the common fields and the given number', (t) => {
  const { id, format } = tracepointFormat('sched:sched_switch', 7, ['/nonexistent']);
  t.is(id, 7);
  t.regex(format, /^name: sched_switch\nID: 7\nformat:\n/);
  t.regex(format, /field:int common_pid;\toffset:4;\tsize:4;\tsigned:1;/);
});

test('no name leads out of tracefs', (t) => {
  t.is(tracepointFormat('../..:passwd', 7).id, 7);
  t.is(tracepointFormat('sched:../../x', 7).id, 7);
});

test('tracepoints are grouped by system in the file, each once', (t) => {
  const formats = ['sched:a', 'sched:b', 'sched:a', 'irq:c'].map((name) => tracepointFormat(name, 1, []));
  const bytes = Buffer.from(encodeTracingData(formats));
  t.is(bytes.subarray(0, 13).toString('latin1'), '\x17\x08\x44tracing0.6');
  const systems = bytes.indexOf('sched\0');
  t.is(bytes.readUInt32LE(systems - 4), 2);
  t.is(bytes.readUInt32LE(systems + 6), 2);
  t.is(bytes.toString('latin1').split('name: a\n').length, 2);
});
