import test from 'ava';
import { difference } from '#dist/collector/count/counting.js';
import { intervalLines, jsonLines, statTable } from '#dist/cli/stat_table.js';

function counted(name: string, value: bigint, enabled = 100n, running = enabled) {
  return { name, count: { value, enabled, running } };
}

test('the table reads as perf stat prints it', (t) => {
  const table = statTable(
    [
      counted('task-clock:u', 1_500_000_000n),
      counted('page-faults:u', 3000n),
      counted('cycles:u', 3_000_000_000n, 100n, 50n),
      counted('instructions:u', 9_000_000_000n),
      counted('branches', 0n, 100n, 0n),
    ],
    `'make'`,
    1,
  );
  t.regex(table, /Performance counter stats for 'make':/);
  t.regex(table, / 1,500\.00 msec task-clock:u +# +1\.500 CPUs utilized/);
  t.regex(table, / 3,000 +page-faults:u +# +2\.000 K\/sec/);
  t.regex(table, / 6,000,000,000 +cycles:u +# +4\.000 GHz +\(50\.00%\)/);
  t.regex(table, / 9,000,000,000 +instructions:u +# +1\.50 insn per cycle/);
  t.regex(table, /<not counted> +branches/);
  t.regex(table, /1\.000000000 seconds time elapsed/);
});

test('an interval has the counts since the previous one', (t) => {
  const [before, now] = [[counted('page-faults', 5n, 10n)], [counted('page-faults', 12n, 30n)]];
  const [part] = difference(
    now.map(({ count }) => count),
    before.map(({ count }) => count),
  );
  t.deepEqual(part, { value: 7n, enabled: 20n, running: 20n });
  t.is(
    intervalLines([{ name: 'page-faults', count: part ?? { value: 0n, enabled: 0n, running: 0n } }], 2, 1),
    '     2.000000000                  7      page-faults\n',
  );
});

test('JSON lines have the keys of perf stat', (t) => {
  const [line = ''] = jsonLines([counted('task-clock', 2_000_000n)], 1).split('\n');
  t.deepEqual(JSON.parse(line), {
    'counter-value': '2.000000',
    unit: 'msec',
    event: 'task-clock',
    'event-runtime': 100,
    'pcnt-running': 100,
    'metric-value': 0.002,
    'metric-unit': 'CPUs utilized',
  });
  const [none = ''] = jsonLines([counted('cycles', 0n, 0n, 0n)], 1).split('\n');
  t.like(JSON.parse(none), { 'counter-value': '<not counted>' });
});

test('a title or an event name cannot add a line', (t) => {
  const lines = (name: string): number => {
    const events = [counted(name, 1n)];
    return `${statTable(events, name, 1)}${intervalLines(events, 1, 1)}`.split('\n').length;
  };
  t.is(lines('x\n  1  faults'), lines('x'));
});
