import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { writeFolded } from '#dist/collector/profile/folded_file.js';
import { FormatError } from '#dist/formats/format_error.js';
import { writeRecording } from '../../formats/write_recording.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-folded-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

test('each stack of a recording is a line, with the event first where there are several', (t) => {
  const [data, folded] = [join(directory, 'perf.data'), join(directory, 'out.folded')];
  writeRecording(data);
  writeFolded(data, folded);
  t.deepEqual(readFileSync(folded, 'utf8').trimEnd().split('\n'), [
    'cpu-clock:u;[101];[unknown];[unknown] 1',
    'page-faults:u;[101];[unknown] 1',
  ]);
});

test('a recording that cannot be read leaves no output', (t) => {
  const data = join(directory, 'broken');
  writeFileSync(data, 'x'.repeat(500));
  t.throws(() => writeFolded(data, join(directory, 'none.folded')), { instanceOf: FormatError });
  t.false(readdirSync(directory).some((name) => name.startsWith('none') || name.startsWith('.')));
});
