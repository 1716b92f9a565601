import { mkdtempSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { writeRecording } from '../../formats/write_recording.js';

const MAIN = new URL('../../../../dist/cli/main.js', import.meta.url).pathname;
const directory = mkdtempSync(join(tmpdir(), 'perfbroker-report-'));
test.after.always(() => rmSync(directory, { recursive: true }));

const report = (...args: readonly string[]): string =>
  spawnSync(process.execPath, [MAIN, 'report', ...args], { encoding: 'utf8' }).stdout;

test('each event has a table of its functions, with their share', (t) => {
  const text = report(writeRecording(join(directory, 'whole')));
  const tables = ['cpu-clock:u', 'page-faults:u'].map(
    (event) => `${event}: 1 sample\n   self  samples  object     function\n100.00%        1  [unknown]  [unknown]\n`,
  );
  t.is(text, tables.join('\n'));
});

test('a recording that was cut off is reported as such', (t) => {
  t.regex(report(writeRecording(join(directory, 'cut'), { finish: false })), /^The recording was cut off/);
});
