import { fstatSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import winston from 'winston';
import { escapeControls } from './escape_controls.js';

/** Diagnostics of a daemon, one line each. Decisions go to the audit log, never here alone. */
export type Logger = Pick<winston.Logger, LogLevel>;

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A place for entries of named fields, which journald is. A place that is behind throws EAGAIN. */
export interface EntrySink {
  send(fields: readonly (readonly [name: string, value: string])[]): void;
}

export interface LoggerOptions {
  /** Name of the program, which begins each line. */
  readonly program: string;
  /** Least important level that is logged. */
  readonly level: LogLevel;
  /** Absent or null: the lines go to `fd`. */
  readonly journal?: EntrySink | null;
  /** Standard error by default. Also used where the journal fails. */
  readonly fd?: number;
}

/** Priorities of syslog(3). */
const PRIORITIES: Readonly<Record<string, string>> = { error: '3', warn: '4', info: '6', debug: '7' };

export function createLogger({ program, level, journal = null, fd = 2 }: LoggerOptions): Logger {
  // The reader of a socket is taken for journald, which strips sd-daemon(3)'s prefix and stores the level.
  const prefixed = isSocket(fd);
  const lines = journal === null ? null : new JournalLines(program, journal);
  const line = winston.format.printf(
    ({ level: name, message }) => `${PRIORITIES[name] ?? '5'}${escapeControls(String(message))}`,
  );
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done): void {
      const priority = chunk.charAt(0);
      const message = chunk.slice(1).trimEnd();
      if (lines?.write(priority, message) !== true)
        writeLine(fd, `${prefixed ? `<${priority}>` : ''}${program}: ${message}\n`);
      done();
    },
  });
  return winston.createLogger({
    level,
    format: line,
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
  });
}

/** The journal as a place for lines: no line may hold up its writer. */
class JournalLines {
  readonly #program: string;
  readonly #journal: EntrySink;
  #lost = 0;

  constructor(program: string, journal: EntrySink) {
    this.#program = program;
    this.#journal = journal;
  }

  /** False when the line should go to standard error instead. */
  write(priority: string, message: string): boolean {
    try {
      if (this.#lost > 0) this.#send('4', `${this.#lost} lines were lost while the journal was behind`);
      this.#lost = 0;
      this.#send(priority, message);
      return true;
    } catch (error) {
      // A journald that is behind does not read our standard error either, and that one would block.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false;
      this.#lost += 1;
      return true;
    }
  }

  #send(priority: string, message: string): void {
    this.#journal.send([
      ['MESSAGE', message],
      ['PRIORITY', priority],
      ['SYSLOG_IDENTIFIER', this.#program],
    ]);
  }
}

/**
 * Writes in the same tick, so that a logged line is out even when the process ends in it. The transports of winston do
 * not promise that.
 */
function writeLine(fd: number, line: string): void {
  try {
    writeSync(fd, line);
  } catch {
    // Standard error has no reader any more, or the disk behind it is full: serving goes on.
  }
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
