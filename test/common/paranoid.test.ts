import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import test from 'ava';
import { DEFAULT_PARANOID, paranoidLevel } from '#dist/common/paranoid.js';

const { readFileSync } = fs;

/** The level when the file has this text; null: it cannot be read. */
function levelOf(text: string | null): number {
  fs.readFileSync = ((path: unknown) => {
    if (text === null || path !== '/proc/sys/kernel/perf_event_paranoid') throw new Error('ENOENT');
    return text;
  }) as typeof readFileSync;
  syncBuiltinESMExports();
  try {
    return paranoidLevel();
  } finally {
    fs.readFileSync = readFileSync;
    syncBuiltinESMExports();
  }
}

test('the level is the number in the file, also a negative one', (t) => {
  t.is(levelOf('3\n'), 3);
  t.is(levelOf('-1\n'), -1);
});

test("a file that is missing or has no number means the kernel's default", (t) => {
  t.is(DEFAULT_PARANOID, 2);
  t.is(levelOf(null), 2);
  t.is(levelOf('\n'), 2);
});
