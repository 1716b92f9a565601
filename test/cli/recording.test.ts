import { readFileSync } from 'node:fs';
import test from 'ava';
import { UsageError } from '#dist/cli/failure.js';
import { END_TEXTS, parseRecordingOptions, summaryText, writeFailure } from '#dist/cli/recording.js';
import type { RecordingSummary } from '#dist/collector/record/recording_plan.js';

const SUMMARY: RecordingSummary = {
  end: 'command',
  samples: 1234n,
  lost: 0n,
  throttled: 0n,
  bytes: 2048,
  seconds: 1.5,
  fds: 2,
  unstable: false,
  unreadableMaps: [],
};

test('options have the defaults that --help has', (t) => {
  const request = parseRecordingOptions({ output: 'perf.data' });
  t.like(request, { callGraph: false, folded: false });
  t.is(request.bare.length, 1);
  t.false('sampling' in request || 'ringBytes' in request || 'durationMs' in request);
});

test('a name ending in .folded asks for call graphs', (t) => {
  t.like(parseRecordingOptions({ output: 'out.folded' }), { callGraph: true, folded: true });
});

test('options are parsed to their values', (t) => {
  const options = { output: 'x', event: 'page-faults:u', count: '5', mmapPages: '1M', duration: '0.5' };
  t.like(parseRecordingOptions(options), { sampling: { period: 5n }, ringBytes: 1 << 20, durationMs: 500 });
  t.throws(() => parseRecordingOptions({ output: '-' }), { instanceOf: UsageError, message: /standard output/ });
});

test('a summary has the figures and the reason for the end', (t) => {
  t.is(
    summaryText('perf.data', SUMMARY, ''),
    'perf.data: 1,234 samples, 0 lost, 0 throttled, 2.0 KiB of records, 1.50 s (the command ended)\n',
  );
  t.is(summaryText('x\ny: 0 lost', SUMMARY, '').split('\n').length, 2, 'a path cannot add a line');
});

test('a summary gives advice where something is missing', (t) => {
  const text = summaryText('x', { ...SUMMARY, lost: 1n, throttled: 1n, unstable: true, end: 'removed' }, '');
  for (const pattern of [/larger ring \(-m\)/, /throttled the events/, /some may be missing/, /may not be observed/])
    t.regex(text, pattern);
  t.is(text.split('\n').length, 6);
});

test('a full disk and another error of writing each have a remedy', (t) => {
  const error = (code: string): RecordingSummary['error'] & Error =>
    Object.assign(new Error('write failed'), { code, errno: 1, syscall: 'write' });
  const full = writeFailure('x', false, SUMMARY, error('ENOSPC'));
  t.is(full.message, 'writing x failed: no space is left (ENOSPC)');
  t.regex(full.reason, /2\.0 KiB of records/);
  t.regex(full.remedy, /^Free space/);
  t.regex(writeFailure('x', true, SUMMARY, error('EIO')).remedy, /^Choose another file/);
});

test('the example of README ends as a recording with --duration does', (t) => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  t.is(/^perf\.data: .* \((.*)\)$/m.exec(readme)?.[1], END_TEXTS.duration);
});

test('processes whose maps may not be read are named with the user, where there are samples', (t) => {
  const unreadableMaps = [1, 2, 3, 4, 5, 6, 7];
  t.regex(
    summaryText('x', { ...SUMMARY, unreadableMaps }, ''),
    /\n {2}uid \d+ may not read the memory maps of processes 1, 2, 3, 4, 5 and 2 more: samples there have no names\n$/,
  );
  t.regex(summaryText('x', { ...SUMMARY, unreadableMaps: [1] }, ''), / of process 1: /);
  t.notRegex(summaryText('x', { ...SUMMARY, samples: 0n, unreadableMaps }, ''), /maps/);
});

test('the lines for a recording without samples are printed for no other', (t) => {
  t.true(summaryText('x', { ...SUMMARY, samples: 0n }, '  no samples: y\n').endsWith(')\n  no samples: y\n'));
  t.false(summaryText('x', SUMMARY, '  no samples: y\n').includes('no samples'));
});
