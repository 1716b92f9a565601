import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { AuditLog } from '#dist/broker/audit/audit.js';
import { escapeControls } from '#dist/common/escape_controls.js';
import { SUBJECT } from './subject.js';

const EVIL = {
  ...SUBJECT,
  uid: 1,
  gid: 2,
  cgroup: '/',
  executable: '[evil\n{"verdict":"allow"}\u001b[2J\u009b\u2028]',
};

test('a record is one line of JSON, with any process name', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-audit-'));
  const fd = openSync(join(directory, 'audit'), 'a');
  const audit = new AuditLog(fd, () => new Date(0));
  audit.write(EVIL, { action: 'open', verdict: 'deny', note: 'a\u0085b\u007f' });
  audit.write(EVIL, { action: 'end', verdict: 'allow' });
  closeSync(fd);
  const text = readFileSync(join(directory, 'audit'), 'utf8');
  rmSync(directory, { recursive: true });
  const lines = text.split('\n');
  t.is(lines.length, 3);
  t.is(lines[2], '');
  t.notRegex(text.replaceAll('\n', ''), /\p{Cc}|\u2028/u);
  const record = JSON.parse(lines[0]!) as {
    time: string;
    subject: { executable: string; startTime: string };
    note: string;
  };
  t.is(record.time, '1970-01-01T00:00:00.000Z');
  t.is(record.subject.executable, EVIL.executable);
  t.is(record.subject.startTime, '99');
  t.is(record.note, 'a\u0085b\u007f');
});

test('a full disk is an error for the caller', (t) => {
  const fd = openSync('/dev/full', 'w');
  t.throws(() => new AuditLog(fd).write(EVIL, { action: 'open', verdict: 'allow' }), { code: 'ENOSPC' });
  closeSync(fd);
});

test('a record that a full disk cut off is not joined with the next', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-audit-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'fifo');
  spawnSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  t.teardown(() => closeSync(fd));
  const drain = (): string => {
    const text = Buffer.alloc(1 << 20);
    return text.toString('utf8', 0, readSync(fd, text));
  };
  const audit = new AuditLog(fd);
  writeSync(fd, Buffer.alloc(60 * 1024, '\n'));
  t.throws(() => audit.write(EVIL, { action: 'open', verdict: 'deny', note: 'a'.repeat(10_000) }), {
    code: 'EAGAIN',
  });
  const torn = drain().trim();
  t.true(torn.startsWith('{') && !torn.endsWith('}'), 'a part of it is written');
  for (const grant of ['first', 'second']) audit.write(EVIL, { action: 'open', verdict: 'allow', grant });
  const [rest, ...records] = drain().trimEnd().split('\n');
  t.is(rest, '');
  t.deepEqual(
    records.map((line) => (JSON.parse(line) as { grant: string }).grant),
    ['first', 'second'],
  );
});

test('control characters of every kind are escaped in diagnostics', (t) => {
  t.is(escapeControls('a\u001b[31m\nb\u009b'), 'a\\u001b[31m\\u000ab\\u009b');
});
