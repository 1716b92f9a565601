import { fstatSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import winston from 'winston';

/** Diagnostics on stderr. Decisions go to the audit log, never here alone. */
export type Logger = Pick<winston.Logger, 'error' | 'warn' | 'info' | 'debug'>;

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** sd-daemon(3) priorities; journald strips the prefix and stores the level. */
const PRIORITIES: Readonly<Record<string, string>> = { error: '<3>', warn: '<4>', info: '<6>', debug: '<7>' };

export function createLogger(level: LogLevel): Logger {
  const journal = isSocket(2);
  const line = winston.format.printf(
    ({ level: name, message }) =>
      `${journal ? (PRIORITIES[name] ?? '') : ''}perfbroker: ${escapeControls(String(message))}`,
  );
  const stream = new Writable({ write: writeAtOnce, decodeStrings: true });
  return winston.createLogger({
    level,
    format: line,
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
  });
}

/**
 * write(2) in the same tick, so that a logged line is out even when the process ends in it, which winston's own
 * transports do not promise.
 */
function writeAtOnce(chunk: Buffer, _encoding: string, done: () => void): void {
  try {
    writeSync(2, chunk);
  } catch {
    // Nobody reads stderr any more, or the disk behind it is full: serving goes on.
  }
  done();
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
