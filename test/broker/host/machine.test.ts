import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readMachine, readOnlineCpus } from '#dist/broker/host/machine.js';

function fileIn(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-test-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return join(directory, 'online');
}

test('cpu lists of sysfs are parsed', (t) => {
  const path = fileIn(t);
  for (const [text, cpus] of [
    ['0-2,5\n', [0, 1, 2, 5]],
    ['0\n', [0]],
  ] as const) {
    writeFileSync(path, text);
    t.deepEqual(readOnlineCpus(path), cpus);
  }
});

test('the machine has cpus and the software PMU', (t) => {
  const machine = readMachine();
  t.true(machine.onlineCpus().length > 0);
  t.is(machine.pmus.get('software'), 1);
});
