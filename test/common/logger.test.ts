/** The log of both daemons. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { createLogger, LOG_LEVELS, type EntrySink, type Logger } from '#dist/common/logger.js';
import { native } from '#dist/native.js';

/** A log file, and what it has so far. */
function logFile(t: ExecutionContext): { readonly fd: number; text(): string } {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-log-'));
  const path = join(directory, 'log');
  const fd = openSync(path, 'a');
  t.teardown(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  return { fd, text: () => readFileSync(path, 'utf8') };
}

function logEach(log: Logger): void {
  for (const level of LOG_LEVELS) log[level](`about ${level}`);
}

/** A journal that keeps what it receives, and throws while it has an error. */
class FakeJournal implements EntrySink {
  readonly entries: Record<string, string>[] = [];
  error: string | null = null;

  send(fields: readonly (readonly [string, string])[]): void {
    if (this.error !== null) throw Object.assign(new Error(this.error), { code: this.error });
    this.entries.push(Object.fromEntries(fields));
  }
}

for (const [index, level] of LOG_LEVELS.entries()) {
  test(`at level ${level} it logs that level and the more important ones`, (t) => {
    const file = logFile(t);
    logEach(createLogger({ program: 'perfbroker-bus', level, fd: file.fd }));
    const logged = LOG_LEVELS.slice(0, index + 1).map((name) => `perfbroker-bus: about ${name}\n`);
    t.is(file.text(), logged.join(''));
  });
}

test('on a socket, where journald reads, each line begins with its priority', (t) => {
  const [ours, theirs] = native.socketPair('stream');
  t.teardown(() => [ours, theirs].forEach((fd) => native.close(fd)));
  logEach(createLogger({ program: 'perfbroker', level: 'debug', fd: ours }));
  const bytes = new Uint8Array(1000);
  const length = native.receiveMessage(theirs, bytes)?.bytes ?? 0;
  t.is(
    Buffer.from(bytes.subarray(0, length)).toString(),
    '<3>perfbroker: about error\n<4>perfbroker: about warn\n<6>perfbroker: about info\n<7>perfbroker: about debug\n',
  );
});

test('a message is one line, without escape sequences', (t) => {
  const file = logFile(t);
  createLogger({ program: 'perfbroker', level: 'info', fd: file.fd }).error('a\nb\u001b[31m\u2028c %s');
  t.is(file.text(), 'perfbroker: a\\u000ab\\u001b[31m\\u2028c %s\n');
});

test('an entry of the journal has the message, the priority and the program', (t) => {
  const [journal, file] = [new FakeJournal(), logFile(t)];
  const log = createLogger({ program: 'perfbroker-bus', level: 'info', journal, fd: file.fd });
  log.warn('about warn');
  log.debug('not this');
  t.deepEqual(journal.entries, [{ MESSAGE: 'about warn', PRIORITY: '4', SYSLOG_IDENTIFIER: 'perfbroker-bus' }]);
  t.is(file.text(), '');
});

test('lines that a journal does not take because it is behind are counted, and go nowhere else', (t) => {
  const [journal, file] = [new FakeJournal(), logFile(t)];
  const log = createLogger({ program: 'perfbroker', level: 'info', journal, fd: file.fd });
  journal.error = 'EAGAIN';
  log.info('first');
  log.info('second');
  journal.error = null;
  log.info('third');
  t.deepEqual(
    journal.entries.map(({ MESSAGE }) => MESSAGE),
    ['2 lines were lost while the journal was behind', 'third'],
  );
  t.is(file.text(), '');
});

test('a line that the journal refuses goes to standard error', (t) => {
  const [journal, file] = [new FakeJournal(), logFile(t)];
  journal.error = 'ECONNREFUSED';
  createLogger({ program: 'perfbroker', level: 'info', journal, fd: file.fd }).info('still here');
  t.is(file.text(), 'perfbroker: still here\n');
});

test('a full disk behind standard error does not stop the program', (t) => {
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  const log = createLogger({ program: 'perfbroker', level: 'info', fd: full });
  t.notThrows(() => log.error('lost'));
});

test('a thousand lines are out when the process ends in the same tick', (t) => {
  const source = `
    import { createLogger } from ${JSON.stringify(import.meta.resolve('#dist/common/logger.js'))};
    const log = createLogger({ program: 'perfbroker', level: 'info' });
    for (let i = 0; i < 1000; i++) log.info('line ' + i);
    process.exit(3);`;
  const file = logFile(t);
  const args = ['--input-type=module', '-e', source];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', file.fd] });
  t.is(status, 3);
  const lines = Array.from({ length: 1000 }, (_, i) => `perfbroker: line ${i}\n`);
  t.is(file.text(), lines.join(''));
});
