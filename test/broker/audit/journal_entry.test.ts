import { readFileSync } from 'node:fs';
import test from 'ava';
import type { AuditRecord } from '#dist/broker/audit/audit_record.js';
import { auditEntry, MESSAGE_IDS } from '#dist/broker/audit/journal_entry.js';
import { SUBJECT } from './subject.js';

test('docs/systemd.md lists every message id with its action', (t) => {
  const text = readFileSync(new URL('../../../../docs/systemd.md', import.meta.url), 'utf8');
  const listed = [...text.matchAll(/^\| `(\w+)` +\| `([0-9a-f]{32})` +\|/gm)].map(([, action, id]) => [action, id]);
  t.deepEqual(Object.fromEntries(listed), MESSAGE_IDS);
});

test('message ids are 128-bit numbers, and each is used once', (t) => {
  const ids = Object.values(MESSAGE_IDS);
  for (const id of ids) t.regex(id, /^[0-9a-f]{32}$/);
  t.is(new Set(ids).size, ids.length);
});

test("a record's own pid is not taken for the caller's", (t) => {
  const fields = auditEntry(SUBJECT, { action: 'downgraded', verdict: 'allow', pid: 55 }, '{}');
  t.deepEqual(
    fields.filter(([name]) => name.endsWith('_PID')),
    [
      ['PERFBROKER_PID', '7'],
      ['PERFBROKER_TARGET_PID', '55'],
    ],
  );
});

const entry = (record: Partial<AuditRecord>): ReturnType<typeof auditEntry> =>
  auditEntry(SUBJECT, { action: 'open', verdict: 'allow', ...record }, 'LINE');
const valueOf = (fields: ReturnType<typeof auditEntry>, name: string): string | undefined =>
  fields.find(([key]) => key === name)?.[1];

test('an allowed action is a notice, any other a warning', (t) => {
  t.is(valueOf(entry({}), 'PRIORITY'), '5');
  t.is(valueOf(entry({ verdict: 'deny' }), 'PRIORITY'), '4');
  t.is(valueOf(entry({ verdict: 'error' }), 'PRIORITY'), '4');
});

test('the sentence says who does what by which rule, in one line of 400 characters at most', (t) => {
  const fields = entry({
    events: ['cycles\n'],
    targets: [{ pid: 9, tid: 10, executable: '/x' }],
    rule: 'r',
    grant: 'g',
  });
  const sentence =
    'allow: uid 1000 (pid 7 /usr/bin/perf) opens events cycles\\u000a on pid 9 thread 10 /x by rule r as grant g';
  t.is(valueOf(fields, 'MESSAGE'), sentence);
  t.is(valueOf(entry({ events: ['x'.repeat(1000)] }), 'MESSAGE')?.length, 401);
});

test('an entry has 256 values of one field at most, and the whole record', (t) => {
  const fields = entry({ verdict: 'deny', reasons: Array.from({ length: 300 }, (_, index) => `reason ${index}`) });
  t.is(fields.filter(([name]) => name === 'PERFBROKER_REASON').length, 256);
  t.is(valueOf(fields, 'PERFBROKER_RECORD'), 'LINE');
});
