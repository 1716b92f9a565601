import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { placeWhenExecuted } from '#dist/collector/session/place_output.js';
import { OutputFile } from '#dist/formats/output_file.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-place-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

function command(errno: number) {
  return { pid: 1, exited: Promise.resolve(0), executed: Promise.resolve(errno), release: () => undefined };
}

test('an output gets its name at once without a command, and after the exec of one', async (t) => {
  for (const [name, workload] of [
    ['alone', undefined],
    ['executed', command(0)],
  ] as const) {
    const path = join(directory, name);
    using output = OutputFile.create(path);
    t.false(existsSync(path));
    await placeWhenExecuted(output, workload);
    t.true(existsSync(path));
  }
});

test('a command that cannot be executed costs no older profile', async (t) => {
  const path = join(directory, 'older');
  writeFileSync(path, 'older');
  {
    using output = OutputFile.create(path);
    await placeWhenExecuted(output, command(2));
  }
  t.is(readFileSync(path, 'utf8'), 'older');
  t.false(existsSync(`${path}.old`));
});
