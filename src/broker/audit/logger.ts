import { fstatSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import winston from 'winston';
import type { Journal } from './journal.js';

/** Diagnostics in the journal or on stderr. Decisions go to the audit log, never here alone. */
export type Logger = Pick<winston.Logger, 'error' | 'warn' | 'info' | 'debug'>;

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Of syslog(3). */
const PRIORITIES: Readonly<Record<string, string>> = { error: '3', warn: '4', info: '6', debug: '7' };

/** @param journal null: stderr */
export function createLogger(level: LogLevel, journal: Journal | null = null): Logger {
  // Whatever reads a socket is taken for journald, which strips sd-daemon(3)'s prefix and stores the level.
  const prefixed = isSocket(2);
  const lines = journal === null ? null : new JournalLines(journal);
  const line = winston.format.printf(
    ({ level: name, message }) => `${PRIORITIES[name] ?? '5'}${escapeControls(String(message))}`,
  );
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done): void {
      const priority = chunk.charAt(0);
      const message = chunk.slice(1).trimEnd();
      if (lines?.write(priority, message) !== true)
        toStderr(`${prefixed ? `<${priority}>` : ''}perfbroker: ${message}\n`);
      done();
    },
  });
  return winston.createLogger({
    level,
    format: line,
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
  });
}

/** The journal as a place for lines: none of them may hold up who writes it. */
class JournalLines {
  readonly #journal: Journal;
  #lost = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** False when the line should go to stderr instead. */
  write(priority: string, message: string): boolean {
    try {
      if (this.#lost > 0) this.#send('4', `${this.#lost} lines were lost while the journal was behind`);
      this.#lost = 0;
      this.#send(priority, message);
      return true;
    } catch (error) {
      // A journald that is behind does not read our stderr either, and that one would block.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false;
      this.#lost += 1;
      return true;
    }
  }

  #send(priority: string, message: string): void {
    this.#journal.send([
      ['MESSAGE', message],
      ['PRIORITY', priority],
      ['SYSLOG_IDENTIFIER', 'perfbroker'],
    ]);
  }
}

/**
 * write(2) in the same tick, so that a logged line is out even when the process ends in it, which winston's own
 * transports do not promise.
 */
function toStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads stderr any more, or the disk behind it is full: serving goes on.
  }
}

const CONTROLS = /[\p{Cc}\u2028\u2029]/gu;

/** Names of processes and files come from users: no escape sequence of theirs reaches a terminal or starts a new line. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
