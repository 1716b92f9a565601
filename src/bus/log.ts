import { writeSync } from 'node:fs';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Diagnostics, one line each, on standard error. Decisions are the broker's to record, in its audit log. */
export type Log = Readonly<Record<LogLevel, (message: string) => void>>;

/** sd-daemon(3) priorities; journald strips the prefix and stores the level. */
const PRIORITIES: Readonly<Record<LogLevel, string>> = { error: '<3>', warn: '<4>', info: '<6>', debug: '<7>' };
const CONTROLS = /[\p{Cc}\u2028\u2029]/gu;

/** @param journal whether standard error is journald's, which reads a priority in front of each line */
export function createLog(level: LogLevel, journal: boolean): Log {
  const writer =
    (name: LogLevel) =>
    (message: string): void => {
      if (LOG_LEVELS.indexOf(name) > LOG_LEVELS.indexOf(level)) return;
      try {
        writeSync(2, `${journal ? PRIORITIES[name] : ''}perfbroker-bus: ${escapeControls(message)}\n`);
      } catch {
        // Nobody reads standard error any more, or the disk behind it is full: serving goes on.
      }
    };
  return { error: writer('error'), warn: writer('warn'), info: writer('info'), debug: writer('debug') };
}

/** Names and messages come from others: none of theirs starts a new line or reaches a terminal as an escape sequence. */
function escapeControls(text: string): string {
  return text.replace(CONTROLS, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
