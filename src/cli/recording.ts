/** Options and summary that `record` and `run` share. */
import type { Command } from 'commander';
import { escapeName } from '../common/quote.js';
import { DEFAULT_FREQUENCY } from '../collector/event_defaults.js';
import type { LossOfBroker } from '../collector/session/grant_watch.js';
import type { RecordingEnd, RecordingSummary } from '../collector/record/recording_plan.js';
import type { EventSpec, Sampling } from '../model/event.js';
import { VERSION } from '../version.js';
import { parseOutput, parseRingBytes, parseSeconds } from './arguments.js';
import { collectEvents, eventsFrom, samplingFrom } from './event_option.js';
import { Failure, UsageError } from './failure.js';
import { byteText, grouped, samplesText } from './text.js';

export interface RecordingOptions {
  readonly event?: string;
  readonly freq?: string;
  readonly count?: string;
  readonly callGraph?: true;
  readonly mmapPages?: string;
  readonly duration?: string;
  readonly output: string;
}

/** native/launcher/run_options.cc also lists these options, for `run`. */
export function addRecordingOptions(command: Command): Command {
  return command
    .option('-e, --event <EVENTS>', 'events (default: cpu-clock:u)', collectEvents)
    .option('-F, --freq <HZ>', `sampling frequency in Hz (default: ${DEFAULT_FREQUENCY}; tracepoints record every hit)`)
    .option('-c, --count <PERIOD>', 'sample every PERIOD events')
    .option('-g, --call-graph', 'record call graphs (frame pointers)')
    .option(
      '-m, --mmap-pages <SIZE>',
      "size of each cpu's ring: pages (a power of two), or a size such as 4M (default: 512K; less above 32 cpus)",
    )
    .option('--duration <S>', 'end after S seconds')
    .option(
      '-o, --output <FILE>',
      'perf.data file to write; a name ending in .folded writes folded stacks',
      'perf.data',
    );
}

export interface RecordingRequest {
  /** Events as named, without sampling. */
  readonly bare: readonly EventSpec[];
  readonly sampling?: Sampling;
  readonly callGraph: boolean;
  readonly folded: boolean;
  /** Absent: the default for the number of cpus. */
  readonly ringBytes?: number;
  readonly durationMs?: number;
}

/** @throws UsageError */
export function parseRecordingOptions(options: RecordingOptions): RecordingRequest {
  const bare = eventsFrom(options.event ?? 'cpu-clock:u');
  const sampling = samplingFrom(options);
  const output = parseOutput(options.output);
  const folded = output.endsWith('.folded');
  const ringBytes = options.mmapPages === undefined ? undefined : parseRingBytes(options.mmapPages);
  const durationMs = options.duration === undefined ? undefined : parseSeconds(options.duration, '--duration');
  if (output === '-')
    throw new UsageError('--output: a recording cannot be written to standard output; give a file name');
  return {
    bare,
    ...(sampling === undefined ? {} : { sampling }),
    callGraph: options.callGraph === true || folded,
    folded,
    ...(ringBytes === undefined ? {} : { ringBytes }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}

/** Program and command line, for the file. */
export function originOfFile(): { readonly version: string; readonly commandLine: readonly string[] } {
  return { version: `perfbroker ${VERSION}`, commandLine: ['perfbroker', ...process.argv.slice(2)] };
}

/** Texts for the end of a recording or a count. */
export const END_TEXTS: Readonly<Record<RecordingEnd, string>> = {
  duration: 'the duration is over',
  command: 'the command ended',
  targets: 'the observed processes ended',
  interrupt: 'interrupted',
  lease: "the grant's lease has expired",
  revoked: 'the grant was revoked',
  removed: 'the kernel removed the events',
  'not-executed': 'the command was not executed',
  'write-error': 'writing failed',
};

/** Printed when the command goes on without its events. */
const REMOVED =
  '  the command executed a program that may not be observed: setuid, setgid, with file capabilities, or not readable\n';

/** @param noSamples lines for a summary without samples */
export function summaryText(path: string, summary: RecordingSummary, noSamples: string): string {
  const figures = [
    samplesText(summary.samples),
    `${grouped(summary.lost)} lost`,
    `${grouped(summary.throttled)} throttled`,
    `${byteText(summary.bytes)} of records`,
    `${summary.seconds.toFixed(2)} s`,
  ];
  const notes: string[] = [];
  const isSilent = summary.samples === 0n && summary.lost === 0n && summary.error === undefined;
  if (isSilent && summary.end !== 'removed') notes.push(noSamples);
  if (summary.lost > 0n) notes.push('  records were lost: use a larger ring (-m) or a lower frequency (-F)\n');
  if (summary.throttled > 0n) notes.push('  the kernel throttled the events: use a lower frequency (-F)\n');
  if (summary.unstable)
    notes.push('  new threads appeared faster than they could be attached to: some may be missing\n');
  if (summary.samples > 0n) notes.push(unreadableText(summary.unreadableMaps));
  if (summary.end === 'removed') notes.push(REMOVED);
  const loss = summary.lossOfBroker === undefined ? '' : lossText(summary.lossOfBroker, 'records');
  return `${escapeName(path)}: ${figures.join(', ')} (${END_TEXTS[summary.end]})\n${notes.join('')}${loss}`;
}

const MAX_PIDS = 5;

/** The line for processes that stay without names. The kernel's check for maps is that of ptrace(2), which no rule of a policy loosens. */
function unreadableText(pids: readonly number[]): string {
  if (pids.length === 0) return '';
  const more = pids.length > MAX_PIDS ? ` and ${pids.length - MAX_PIDS} more` : '';
  const named = `process${pids.length === 1 ? '' : 'es'} ${pids.slice(0, MAX_PIDS).join(', ')}${more}`;
  return `  uid ${process.getuid?.() ?? -1} may not read the memory maps of ${named}: samples there have no names\n`;
}

/** The line for a broker that ended before the session. @param what the records or counts that may be missing */
export function lossText({ after, before }: LossOfBroker, what: string): string {
  const when = `${after.toFixed(2)} to ${before.toFixed(2)} s after the start`;
  return `perfbroker: the broker ended (${when}): one that is stopped switches its events off, so ${what} after that may be missing\n`;
}

/** The line for a command that goes on when its recording has ended. */
export function goesOnText({ end, seconds }: RecordingSummary): string {
  return `perfbroker: ${END_TEXTS[end]}: nothing is recorded after ${seconds.toFixed(2)} s; the command goes on\n`;
}

export function writeFailure(
  path: string,
  folded: boolean,
  summary: RecordingSummary,
  error: Error & { readonly code?: string },
): Failure {
  return failedWrite(
    path,
    error,
    folded
      ? 'The recording that the stacks are made from did not fit beside the file.'
      : `${byteText(summary.bytes)} of records were written before, in the first ${summary.seconds.toFixed(2)} s. The file ends with the last complete record.`,
  );
}

/** @param reason what the file has, or has not */
export function failedWrite(
  path: string,
  error: Error & { readonly code?: string | undefined },
  reason: string,
): Failure {
  const full = error.code === 'ENOSPC' || error.code === 'EDQUOT';
  return new Failure(
    `writing ${path} failed: ${full ? 'no space is left' : error.message} (${error.code ?? 'unknown'})`,
    reason,
    full ? 'Free space, or choose a file on another file system with -o.' : 'Choose another file with -o.',
  );
}
