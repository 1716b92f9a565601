import { existsSync, fstatSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { AuditLog } from '#dist/broker/audit/audit.js';
import { MESSAGE_IDS } from '#dist/broker/audit/journal_entry.js';
import { encodeEntry, isJournalStream, Journal, openJournal } from '#dist/broker/audit/journal.js';
import { createLogger } from '#dist/common/logger.js';
import { startDatagramReader } from '../datagram_reader.js';
import { SUBJECT } from './subject.js';

const TARGET = {
  pid: 42,
  startTime: '5',
  uid: 1000,
  executable: '[a\nPRIORITY=0\nMESSAGE=forged]',
  cgroup: '/',
  tid: 43,
};

/** Journald's own reading of an entry. */
function decodeEntry(bytes: Buffer): [string, string][] {
  const fields: [string, string][] = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\n', at);
    const line = bytes.toString('utf8', at, end);
    const equals = line.indexOf('=');
    if (equals >= 0) {
      fields.push([line.slice(0, equals), line.slice(equals + 1)]);
      at = end + 1;
    } else {
      const length = Number(bytes.readBigUInt64LE(end + 1));
      fields.push([line, bytes.toString('utf8', end + 9, end + 9 + length)]);
      at = end + 9 + length + 1;
    }
  }
  return fields;
}

test('an encoded entry is read back, with any text in its values', (t) => {
  const fields: [string, string][] = [
    ['A', 'plain = with signs'],
    ['B', 'two\nlines'],
    ['B', ''],
    ['C', '\nPRIORITY=0\n'],
    ['D', 'ümläut\u0000\u001b'],
  ];
  t.deepEqual(decodeEntry(Buffer.from(encodeEntry(fields))), fields);
});

test('the journal is used when $JOURNAL_STREAM names this stderr, and not when it names something else', (t) => {
  const { dev, ino } = fstatSync(2, { bigint: true });
  t.true(isJournalStream(2, { JOURNAL_STREAM: `${dev}:${ino}` }));
  t.false(isJournalStream(2, { JOURNAL_STREAM: `${dev}:${ino + 1n}` }));
  t.false(isJournalStream(2, { JOURNAL_STREAM: 'x' }));
  t.false(isJournalStream(2, {}));
  t.is(openJournal({}), null);
  t.not(openJournal({ JOURNAL_STREAM: `${dev}:${ino}` }), null);
});

test('an audit record has fields to search by, its message id and the record itself', async (t) => {
  const journald = await startDatagramReader();
  t.teardown(() => journald.end());
  new AuditLog(new Journal(journald.path), () => new Date(0)).write(SUBJECT, {
    action: 'open',
    verdict: 'deny',
    targets: [TARGET, { name: 'system' }],
    events: ['task-clock:u', 'page-faults:u'],
    ringBytes: 4096,
    reasons: ['no rule allows it'],
  });
  await journald.until(1);
  const fields = decodeEntry(journald.bytes[0]!);
  const values = (name: string): string[] => fields.filter(([key]) => key === name).map(([, value]) => value);
  t.deepEqual(values('MESSAGE_ID'), [MESSAGE_IDS.open]);
  t.deepEqual(values('PRIORITY'), ['4']);
  t.deepEqual(values('PERFBROKER_UID'), ['1000']);
  t.deepEqual(values('PERFBROKER_EVENT'), ['task-clock:u', 'page-faults:u']);
  t.deepEqual(values('PERFBROKER_TARGET'), [`pid 42 thread 43 ${TARGET.executable}`, 'system']);
  t.deepEqual(values('PERFBROKER_REASON'), ['no rule allows it']);
  t.deepEqual(values('PERFBROKER_RING_BYTES'), ['4096']);
  const [message = ''] = values('MESSAGE');
  t.regex(message, /^deny: uid 1000 \(pid 7 \/usr\/bin\/perf\) opens events task-clock:u, page-faults:u on pid 42/);
  t.notRegex(message, /\n/);
  const record = JSON.parse(values('PERFBROKER_RECORD')[0] ?? '') as Record<string, unknown>;
  t.is(record['time'], '1970-01-01T00:00:00.000Z');
  t.deepEqual(record['targets'], [TARGET, { name: 'system' }]);
  for (const [name] of fields) t.regex(name, /^[A-Z][A-Z0-9_]{0,63}$/);
});

function memfdSetting(): string {
  const path = '/proc/sys/vm/memfd_noexec';
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '0';
}

test('a record that is too long for a datagram is recorded in full, with every target', async (t) => {
  if (memfdSetting() === '2')
    return void t.pass('skipped: vm.memfd_noexec=2 adds a seal that journald of systemd 252 refuses');
  const journald = await startDatagramReader();
  t.teardown(() => journald.end());
  // The longest path in /proc/PID/cgroup is as long as a path can be.
  const targets = Array.from({ length: 256 }, (_, index) => ({
    ...TARGET,
    pid: index + 1,
    cgroup: `/${'x'.repeat(4094)}`,
  }));
  const reasons = Array.from({ length: 2000 }, (_, index) => `rule ${index} is for others`);
  new AuditLog(new Journal(journald.path)).write(SUBJECT, { action: 'open', verdict: 'deny', targets, reasons });
  await journald.until(1);
  const fields = decodeEntry(journald.bytes[0]!);
  t.true(fields.length <= 1024, 'journald takes no more fields');
  const [, json = ''] = fields.find(([name]) => name === 'PERFBROKER_RECORD') ?? [];
  t.true(json.length > 1 << 20);
  t.deepEqual((JSON.parse(json) as Record<string, unknown>)['targets'], targets);
  t.deepEqual((JSON.parse(json) as Record<string, unknown>)['reasons'], reasons);
  t.is(fields.filter(([name]) => name === 'PERFBROKER_TARGET').length, 256);
});

test('a stuck journald and a missing one are errors for the caller, also for a long record', async (t) => {
  const journald = await startDatagramReader();
  t.teardown(() => journald.end());
  const audit = new AuditLog(new Journal(journald.path));
  const record = { action: 'open', verdict: 'allow' } as const;
  const long = { ...record, targets: Array(256).fill({ ...TARGET, cgroup: 'x'.repeat(4096) }) };
  await journald.stop();
  t.throws(
    () => {
      for (let i = 0; i < 10_000; i++) audit.write(SUBJECT, record);
    },
    { code: 'EAGAIN' },
  );
  t.throws(() => audit.write(SUBJECT, long), { code: 'EAGAIN' });
  for (const some of [record, long])
    t.throws(() => new AuditLog(new Journal('/nonexistent/journal')).write(SUBJECT, some), { code: 'ENOENT' });
});

test('diagnostics go to the journal with their level, and one line is one entry', async (t) => {
  const journald = await startDatagramReader();
  t.teardown(() => journald.end());
  const log = createLogger({ program: 'perfbroker', level: 'info', journal: new Journal(journald.path) });
  log.error('one\ntwo');
  log.info('three');
  log.debug('not this');
  await journald.until(2);
  t.deepEqual(journald.bytes.map(decodeEntry), [
    [
      ['MESSAGE', 'one\\u000atwo'],
      ['PRIORITY', '3'],
      ['SYSLOG_IDENTIFIER', 'perfbroker'],
    ],
    [
      ['MESSAGE', 'three'],
      ['PRIORITY', '6'],
      ['SYSLOG_IDENTIFIER', 'perfbroker'],
    ],
  ]);
});

test('diagnostics never wait for a journald that is behind, and lost lines are counted', async (t) => {
  const journald = await startDatagramReader();
  t.teardown(() => journald.end());
  const log = createLogger({ program: 'perfbroker', level: 'info', journal: new Journal(journald.path) });
  await journald.stop();
  for (let i = 0; i < 2000; i++) {
    log.info(`line ${i}`);
    await new Promise(setImmediate); // winston works off what comes at once a little later
  }
  const sent = performance.now();
  journald.continue();
  await journald.seen((text) => text.includes('MESSAGE=line 0\n'));
  const kept = (): number => journald.received.filter((text) => text.includes('MESSAGE=line ')).length;
  // It may have taken one more line before it stopped: the lost lines are then reported in two parts.
  const lost = (): number =>
    journald.received.reduce((sum, text) => sum + Number(/MESSAGE=(\d+) lines were lost/.exec(text)?.[1] ?? 0), 0);
  while (kept() + lost() < 2000 && performance.now() - sent < 30_000) {
    await sleep(50);
    log.info('after');
    await sleep(50);
  }
  t.true(lost() > 0);
  t.true(kept() + lost() >= 2000, `${kept()} kept, ${lost()} lost`);
});
