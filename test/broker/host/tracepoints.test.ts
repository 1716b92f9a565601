import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Tracepoints } from '#dist/broker/host/tracepoints.js';

test('names of tracepoints have ids, and an unknown name has none', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracepoints-'));
  writeFileSync(join(folder, 'table'), 'sched:sched_switch 314\nirq:softirq_entry 27\n');
  const fd = openSync(join(folder, 'table'), 'r');
  const tracepoints = new Tracepoints(fd);
  t.is(tracepoints.id('sched:sched_switch'), 314);
  t.is(tracepoints.id('irq:softirq_entry'), 27);
  t.is(tracepoints.id('__proto__'), null);
  t.is(tracepoints.size, 2);
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

test('without a table there is no tracepoint', (t) => {
  const tracepoints = new Tracepoints(null);
  t.is(tracepoints.size, 0);
  t.is(tracepoints.id('sched:sched_switch'), null);
});
