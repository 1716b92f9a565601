import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { describeFailure } from '#dist/cli/failure.js';
import { createOutputFile } from '#dist/formats/output_file.js';

/** What a user reads when this fails. */
function said(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return describeFailure(error).text;
  }
  return '';
}

test('a file that can not be had is said with what to do, and without a stack trace', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-failure-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const link = join(directory, 'link');
  symlinkSync('nowhere', link);
  for (const action of [
    () => createOutputFile(link),
    () => createOutputFile('/dev/null'),
    () => createOutputFile(join(directory, 'no', 'file')),
    () => readFileSync(join(directory, 'none')),
    () => readFileSync(directory),
  ])
    t.regex(said(action), /^perfbroker: [^\n]+\n {2}what to do: [A-Z][^\n]+\.\n$/);
});

test('a fault of the program says where it is', (t) => {
  t.regex(
    said(() => (undefined as unknown as { x: { y: number } }).x.y),
    /TypeError.*\n.*\bat /,
  );
});
