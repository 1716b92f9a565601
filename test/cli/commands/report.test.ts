import { mkdtempSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ByteWriter } from '#dist/formats/byte_writer.js';
import { sampleIdBytes, viewAttr } from '#dist/formats/attr_view.js';
import { writeRecording } from '../../formats/write_recording.js';

const MAIN = new URL('../../../../dist/cli/main.js', import.meta.url).pathname;
/** include/uapi/linux/perf_event.h */
const PERF_RECORD_MMAP = 1;
const PERF_RECORD_MISC_USER = 2;

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-report-'));
test.after.always(() => rmSync(directory, { recursive: true }));

const report = (...args: readonly string[]): string =>
  spawnSync(process.execPath, [MAIN, 'report', ...args], { encoding: 'utf8' }).stdout;

test('each event has a table of its functions, with their share', (t) => {
  const text = report(writeRecording(join(directory, 'whole')));
  const tables = ['cpu-clock:u', 'page-faults:u'].map(
    (event) => `${event}: 1 sample\n   self  samples  object     function\n100.00%        1  [unknown]  [unknown]\n`,
  );
  const note = /^The file has no memory map of process 100, .*\n/gm;
  t.is(text.match(note)?.length, 2, text);
  t.is(text.replace(note, ''), tables.join('\n'));
});

test('a recording that was cut off is reported as such', (t) => {
  t.regex(report(writeRecording(join(directory, 'cut'), { finish: false })), /^The recording was cut off/);
});

/** A mapping of process 100 at every address that {@link writeRecording} samples. */
function mapping(path: string, trailer: number): Uint8Array {
  const writer = new ByteWriter().u32(PERF_RECORD_MMAP).u16(PERF_RECORD_MISC_USER).u16(0);
  writer.u32(100).u32(100).u64(0).u64(0x10000).u64(0).text(path, 8).zeros(trailer);
  writer.patchU16(6, writer.length);
  return Uint8Array.from(writer.bytes);
}

test('the name of a mapped file or of an event cannot add a line', (t) => {
  const text = report(
    writeRecording(join(directory, 'forged'), {
      events: ['cpu-clock:u\nfeed 0 1 ok', 'page-faults:u'],
      before: (writer, attr) =>
        writer.write(mapping('/x\n99.99%  1  feed  ok', sampleIdBytes(viewAttr(attr).sampleType))),
    }),
  );
  t.false(/^ *(feed|99)/m.test(text), text);
  t.regex(text, /^cpu-clock:u\\u\{000a\}feed 0 1 ok: 1 sample$/m);
  t.regex(text, /^100\.00% .* x\\u\{000a\}99\.99% {2}1 {2}feed {2}ok +\[x\\u\{000a\}99\.99% {2}1 {2}feed {2}ok\]$/m);
});
