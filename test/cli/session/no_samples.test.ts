import test from 'ava';
import { noSamplesText, type SilentRecording } from '#dist/cli/session/no_samples.js';
import type { CpuUse } from '#dist/collector/host/cpu_use.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';

const use = (changes: Partial<CpuUse> = {}): CpuUse => ({ pid: 7, ms: 0.2, stopped: false, cpus: [1], ...changes });
const text = (events: string, changes: Partial<SilentRecording> = {}): string =>
  noSamplesText({ seconds: 2, events: parseEvents(events), ...changes });

test('a process that slept, and one that is stopped, are named with their CPU time', (t) => {
  t.is(
    text('cpu-clock:u', { use: [use()], counts: [200_000n] }),
    '  no samples: process 7 slept or waited: it used 0.2 ms of CPU time in 2.00 s\n',
  );
  t.regex(text('cpu-clock:u', { use: [use({ stopped: true, ms: 0 })] }), /process 7 is stopped: it used 0\.0 ms/);
  t.regex(text('cpu-clock:u', { use: [use({ tid: 8 })] }), /thread 8 slept or waited/);
});

test('a process that ran, or whose CPU time is not known, is not said to have slept', (t) => {
  for (const each of [use({ ms: 500 }), use({ ms: undefined })])
    t.notRegex(text('page-faults:u', { use: [each], counts: [0n] }), /slept|stopped/);
  t.notRegex(text('page-faults:u', { use: [use(), use({ pid: 9, ms: 500 })], counts: [0n] }), /slept|stopped/);
});

test('an event of the kernel without kernel mode is the reason before the process', (t) => {
  t.is(
    text('context-switches:u', { use: [use()] }),
    '  no samples: context-switches:u: the event happens in kernel mode, and :u excludes kernel mode\n',
  );
  t.notRegex(text('context-switches', { counts: [0n] }), /kernel mode/);
  t.notRegex(text('context-switches:u,page-faults:u', { counts: [0n, 0n] }), /kernel mode/);
});

test('cpus that -C excludes are the reason for a process that ran elsewhere', (t) => {
  const elsewhere = { use: [use({ ms: 900 })], cpus: [0, 2] };
  t.is(text('cpu-clock:u', elsewhere), '  no samples: process 7 last ran on cpu 1, which -C excludes\n');
  t.notRegex(text('cpu-clock:u', { ...elsewhere, cpus: [1] }), /excludes/);
});

test('an event that did not occur, or too rarely, is named with its count', (t) => {
  t.is(text('page-faults:u', { counts: [0n] }), '  no samples: page-faults:u did not occur\n');
  t.is(
    text('page-faults:u', { counts: [30n], sampling: { period: 1000n } }),
    '  no samples: page-faults:u was counted 30 times, and -c takes one sample in 1000\n',
  );
  t.regex(text('page-faults:u', { counts: [30n] }), /was counted 30 times, too rarely for a sample\n$/);
  t.is(
    text('cpu-clock:u', { counts: [700_000n] }),
    '  no samples: cpu-clock:u counted 0.7 ms in 2.00 s, and no sample was due in user mode in that time\n',
  );
  t.notRegex(text('cpu-clock', { counts: [700_000n] }), /user mode/);
});

test('a reason that is not known is not guessed, and two lines are the most', (t) => {
  t.is(text('cpu-clock:u'), '  no samples: the reason is not known\n');
  t.is(
    text('{page-faults:u,minor-faults:u}', { counts: [undefined, undefined] }),
    '  no samples: the reason is not known\n',
  );
  const three = [use(), use({ pid: 8 }), use({ pid: 9 })];
  t.is(text('cpu-clock:u', { use: three }).split('\n').length, 3);
});
