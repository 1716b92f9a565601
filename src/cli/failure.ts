import { BrokerError } from '../model/errors.js';

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
      text: lines(`${error.message} (${error.error}, ${error.code})`, error.cause_, error.remedy, reasonsOf(error)),
      // What parses the command line here and what the broker refuses are one table of errors.
      exitCode: unreachable ? ExitCode.unreachable : ExitCode.failed,
    };
  }
  if (error instanceof Error && 'code' in error) return { text: lines(error.message), exitCode: ExitCode.failed };
  if (error instanceof Error && error.name === 'FormatError')
    return { text: lines(error.message), exitCode: ExitCode.failed };
  // Anything else is a bug here; where it happened helps whoever mends it.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: lines(text), exitCode: ExitCode.failed };
}

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
