import { FormatError } from '../formats/format_error.js';
import { OutputFileError } from '../formats/output_file.js';
import { BrokerError } from '../model/errors/errors.js';

/** What the program exits with; `record` and `stat` pass on their CMD's own. */
export const ExitCode = {
  ok: 0,
  /** Denied, or failed. */
  failed: 1,
  usage: 2,
  /** The broker does not answer. */
  unreachable: 3,
  /** CMD could not be started; 126 and 127 as a shell has them. */
  cannotStart: 125,
  /** 128 + SIGINT, as a shell reports it. */
  interrupted: 130,
} as const;

/** The command line makes no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Something failed, and what to do is known. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly reason: string;
  readonly remedy: string;
  readonly exitCode: number;

  constructor(message: string, reason: string, remedy: string, exitCode: number = ExitCode.failed) {
    super(message);
    this.reason = reason;
    this.remedy = remedy;
    this.exitCode = exitCode;
  }
}

const UNREACHABLE: readonly string[] = ['not-running', 'no-access', 'connection-lost', 'timed-out'];

/** A failure in the form in which it is printed, and its exit code. */
export function describeFailure(error: unknown): { readonly text: string; readonly exitCode: number } {
  if (error instanceof UsageError) return { text: lines(error.message), exitCode: ExitCode.usage };
  if (error instanceof Failure)
    return { text: lines(error.message, error.reason, error.remedy), exitCode: error.exitCode };
  if (error instanceof BrokerError) {
    const unreachable = error.error === 'Unavailable' && UNREACHABLE.includes(error.code);
    return {
      text: lines(
        `${error.message} (${error.error}, ${error.code})`,
        error.explanation,
        error.remedy,
        reasonsOf(error),
      ),
      // What parses the command line here and what the broker refuses are one table of errors.
      exitCode: unreachable ? ExitCode.unreachable : ExitCode.failed,
    };
  }
  // The failure that ended a `using` block, not the one of its clean-up.
  if (error instanceof Error && 'suppressed' in error) return describeFailure(error.suppressed);
  const remedy = remedyOf(error);
  if (remedy !== null) return { text: lines((error as Error).message, '', remedy), exitCode: ExitCode.failed };
  // Anything else is a bug here; where it happened helps whoever mends it.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: lines(text), exitCode: ExitCode.failed };
}

/** For files that can not be had. Empty where nothing more than the message is known; null for what is no such error. */
function remedyOf(error: unknown): string | null {
  if (error instanceof OutputFileError) return 'Name a file that is not there yet, or an old profile.';
  if (error instanceof FormatError) return '';
  if (error instanceof Error && 'code' in error) return REMEDIES[String(error.code)] ?? '';
  return null;
}

const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'Name a file that you may use, in a folder where you may, or ask whom it belongs to.',
  EEXIST: 'Somebody made that file in this moment: name another, or try again.',
  EISDIR: 'Name a file in that folder.',
  ENOENT: 'Look at the name; the folder of a file that is written must be there.',
  ENOSPC: 'Make room on the disk, or write elsewhere.',
  EROFS: 'Write to a folder that is not read-only.',
};

function lines(message: string, cause = '', remedy = '', reasons: readonly string[] = []): string {
  const list = [`perfbroker: ${message}`];
  if (cause !== '') list.push(`  cause: ${cause}`);
  // The first reason is what the message and the cause speak of.
  for (const reason of reasons)
    if (!message.includes(reason) && !cause.includes(reason)) list.push(`  also: ${reason}`);
  if (remedy !== '') list.push(`  what to do: ${remedy}`);
  return `${list.map(printable).join('\n')}\n`;
}

function reasonsOf(error: BrokerError): readonly string[] {
  const reasons = error.details['reasons'];
  if (!Array.isArray(reasons)) return [];
  return reasons.flatMap((reason: unknown) =>
    typeof reason === 'object' && reason !== null && 'text' in reason && typeof reason.text === 'string'
      ? [reason.text]
      : [],
  );
}

/** Texts may hold names that others chose: no escape sequence of theirs reaches the terminal. */
export function printable(text: string): string {
  return text.replace(/[^\P{C}\n\t]/gu, '?');
}
