import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Workload } from '#dist/collector/launcher/workload.js';

const directory = mkdtempSync(join(tmpdir(), 'perfbroker-workload-'));
test.after.always(() => {
  rmSync(directory, { recursive: true, force: true });
});

test('a command that is not found or not executable exits as in a shell', async (t) => {
  const absent = await Workload.start([join(directory, 'absent')]);
  absent.release();
  t.is(await absent.exited, 127);
  const plain = join(directory, 'plain');
  writeFileSync(plain, '');
  chmodSync(plain, 0o644);
  const refused = await Workload.start([plain]);
  refused.release();
  t.is(await refused.exited, 126);
});

test('a command at its gate never runs when it is not released', async (t) => {
  const marker = join(directory, 'marker');
  const workload = await Workload.start(['touch', marker]);
  workload.terminate();
  t.not(await workload.exited, 0);
  t.is(statSync(marker, { throwIfNoEntry: false }), undefined);
});

test('a command that leaves its scope before it is released never runs', async (t) => {
  const marker = join(directory, 'scope');
  let exited;
  {
    using workload = await Workload.start(['touch', marker]);
    exited = workload.exited;
  }
  t.not(await exited, 0);
  t.is(statSync(marker, { throwIfNoEntry: false }), undefined);
});

test('a launcher that cannot be executed is an error', async (t) => {
  await t.throwsAsync(Workload.start(['true'], join(directory, 'absent')), { code: 'ENOENT' });
});
