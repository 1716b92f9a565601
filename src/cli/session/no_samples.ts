/** Reasons for a recording without a sample. Each line is a fact from /proc, from the counts of the events, or from the options. */
import type { CpuUse } from '../../collector/host/cpu_use.js';
import type { EventSpec, Sampling } from '../../model/event.js';
import { eventName, sourceName } from '../../model/events/syntax/event_name.js';
import { grouped } from '../text.js';

/** A recording that has ended without a sample. */
export interface SilentRecording {
  readonly seconds: number;
  /** As named on the command line. */
  readonly events: readonly EventSpec[];
  /** Count of each event; undefined when it is not known. Absent: none is known. */
  readonly counts?: readonly (bigint | undefined)[];
  /** From -c or -F. */
  readonly sampling?: Sampling;
  /** Observed processes that have not ended. Empty where none is observed that could be measured. */
  readonly use?: readonly CpuUse[];
  /** Cpus of -C. */
  readonly cpus?: readonly number[];
}

const MAX_LINES = 2;
/** A process that ran for a smaller part of the recording is reported as one that did not run. */
const IDLE = 0.01;
const CLOCKS: readonly string[] = ['cpu-clock', 'task-clock'];
/** Software events that the kernel counts in the scheduler (perf_sw_event_sched, kernel/sched/core.c). */
const OF_KERNEL: readonly string[] = ['context-switches', 'cpu-migrations'];

/** Lines for the summary of a recording; the first one when there is nothing to say but that it has no samples. */
export function noSamplesText(recording: SilentRecording): string {
  const found = [ofKernel, ofProcesses, ofEvents].map((find) => find(recording)).find((reasons) => reasons.length > 0);
  if (found === undefined) return '  no samples: the reason is not known\n';
  return found
    .slice(0, MAX_LINES)
    .map((reason) => `  no samples: ${reason}\n`)
    .join('');
}

function ofKernel({ events }: SilentRecording): readonly string[] {
  const names = events.filter(isHiddenInKernel).map(eventName);
  if (names.length === 0 || names.length < events.length) return [];
  return [`${names.join(' and ')}: the event happens in kernel mode, and :u excludes kernel mode`];
}

function isHiddenInKernel({ source, exclude }: EventSpec): boolean {
  return source.kind === 'software' && OF_KERNEL.includes(source.name) && exclude.includes('kernel');
}

function ofProcesses({ use = [], seconds, cpus }: SilentRecording): readonly string[] {
  const idle = use.filter(({ ms }) => ms !== undefined && ms < seconds * 1000 * IDLE);
  // One that ran could have been sampled: then the others are not the reason.
  if (use.length === 0) return [];
  if (idle.length === use.length)
    return idle.map((each) => {
      const stopped = each.stopped ? 'is stopped' : 'slept or waited';
      return `${nameOf(each)} ${stopped}: it used ${(each.ms ?? 0).toFixed(1)} ms of CPU time in ${seconds.toFixed(2)} s`;
    });
  if (cpus === undefined) return [];
  const elsewhere = use.filter((each) => each.cpus.every((cpu) => !cpus.includes(cpu)));
  if (elsewhere.length < use.length) return [];
  return elsewhere.map((each) => `${nameOf(each)} last ran on cpu ${each.cpus.join(', ')}, which -C excludes`);
}

function nameOf({ pid, tid }: CpuUse): string {
  return tid === undefined ? `process ${pid}` : `thread ${tid}`;
}

function ofEvents({ seconds, events, counts = [], sampling }: SilentRecording): readonly string[] {
  return events.flatMap((event, index) => {
    const count = counts[index];
    if (count === undefined) return [];
    const name = eventName(event);
    if (event.source.kind === 'software' && CLOCKS.includes(sourceName(event.source)))
      return [clockReason(event, count, seconds)];
    if (count === 0n) return [`${name} did not occur`];
    const every =
      sampling !== undefined && 'period' in sampling ? `, and -c takes one sample in ${sampling.period}` : '';
    return [`${name} was counted ${grouped(count)} times${every === '' ? ', too rarely for a sample' : every}`];
  });
}

/** The kernel counts a clock in user and kernel mode, and then drops the samples that :u or :k excludes. */
function clockReason(event: EventSpec, count: bigint, seconds: number): string {
  const name = eventName(event);
  const ms = (Number(count) / 1e6).toFixed(1);
  const mode = event.exclude.includes('kernel') ? ' in user mode' : '';
  return `${name} counted ${ms} ms in ${seconds.toFixed(2)} s, and no sample was due${mode} in that time`;
}
