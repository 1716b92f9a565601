import { escapeName } from '../common/quote.js';
import { FormatError } from '../formats/format_error.js';
import { OutputFileError } from '../formats/output_file.js';
import { BrokerError } from '../model/errors/errors.js';
import { tooManyFiles } from './too_many_files.js';

/** Exit codes; `record` and `stat` pass on that of CMD. */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** The broker cannot be reached, or does not answer. */
  unreachable: 3,
  /** CMD could not be started; 126 and 127 as in a shell. */
  cannotStart: 125,
  /** 128 + SIGINT, as a shell reports it. */
  interrupted: 130,
} as const;

/** The command line is invalid. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A failure with a known cause and remedy. */
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

const UNREACHABLE: readonly string[] = ['not-running', 'no-access', 'invalid-socket', 'connection-lost', 'timed-out'];

/** Texts for a user of options, by code. Those of the error table are for programs. */
const OF_OPTIONS: Readonly<Record<string, { readonly explanation: string; readonly remedy: string }>> = {
  'not-a-cgroup': {
    explanation: 'No cgroup that you can open has this path.',
    remedy: '`cat /proc/PID/cgroup` prints the cgroup of a process, and `systemd-cgls` prints all of them.',
  },
};

/** Text and exit code of a failure. */
export function describeFailure(error: unknown): { readonly text: string; readonly exitCode: number } {
  if (error instanceof UsageError) return { text: lines(error.message), exitCode: ExitCode.usage };
  if (error instanceof Failure)
    return { text: lines(error.message, error.reason, error.remedy), exitCode: error.exitCode };
  if (error instanceof BrokerError) {
    const { explanation, remedy } = OF_OPTIONS[error.code] ?? error;
    const unreachable = error.error === 'Unavailable' && UNREACHABLE.includes(error.code);
    return {
      text: lines(`${error.message} (${error.error}, ${error.code})`, explanation, remedy, reasonsOf(error)),
      exitCode: unreachable ? ExitCode.unreachable : ExitCode.failed,
    };
  }
  const limit = tooManyFiles(error);
  if (limit !== undefined) return { text: lines(limit.message, '', limit.remedy), exitCode: ExitCode.failed };
  // The failure that ended a `using` block, not the one of its clean-up.
  if (error instanceof Error && 'suppressed' in error) return describeFailure(error.suppressed);
  const remedy = remedyOf(error);
  if (remedy !== null) return { text: lines((error as Error).message, '', remedy), exitCode: ExitCode.failed };
  // Anything else is a bug of ours; the stack trace helps to find it.
  const [first = '', ...frames] = (error instanceof Error ? (error.stack ?? error.message) : String(error)).split('\n');
  return { text: lined([`perfbroker: ${first}`, ...frames.map((frame) => `  ${frame}`)]), exitCode: ExitCode.failed };
}

/** Remedy for an error of a file. Empty when there is none besides the message; null when it is not an error of a file. */
function remedyOf(error: unknown): string | null {
  if (error instanceof OutputFileError) return 'Choose a path that does not exist yet, or that of an old profile.';
  if (error instanceof FormatError) return '';
  if (error instanceof Error && 'code' in error) return REMEDIES[String(error.code)] ?? '';
  return null;
}

const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: 'Choose a path that you have permission to use.',
  EEXIST: 'Another process has just created the file: try again, or choose another path.',
  EISDIR: 'Choose a file in that directory.',
  ENAMETOOLONG:
    'Choose a shorter path: a name has 255 bytes at most, and 251 where an older file is kept as NAME.old; a path has 4,095.',
  ENOENT: 'Check the path; the directory of an output file must exist.',
  ENOSPC: 'Free space, or choose a path on another file system.',
  EROFS: 'Choose a path on a file system that is not read-only.',
};

function lines(message: string, cause = '', remedy = '', reasons: readonly string[] = []): string {
  const list = [`perfbroker: ${message}`];
  if (cause !== '') list.push(`  cause: ${cause}`);
  // Message and cause already include the first reason.
  for (const reason of reasons)
    if (!message.includes(reason) && !cause.includes(reason)) list.push(`  also: ${reason}`);
  if (remedy !== '') list.push(`  what to do: ${remedy}`);
  return lined(list);
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

/** Lines of a message: a name in one of them, chosen by another user, cannot begin a line of its own. */
function lined(list: readonly string[]): string {
  return `${list.map(escapeName).join('\n')}\n`;
}
