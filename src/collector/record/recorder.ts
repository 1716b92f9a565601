import { hostname, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { sampleIdBytes, viewAttr } from '../../formats/attr_view.js';
import { openOutputFile, type NewOutputFile } from '../../formats/output_file.js';
import { PerfDataWriter } from '../../formats/perfdata_writer.js';
import type { EventSpec } from '../../model/event.js';
import type { Drain, DrainStats, Fd, NativeError } from '../../native.js';
import { native } from '../../native.js';
import { onlineCpus, possibleCpuCount } from '../../common/cpus.js';
import type { CollectorTarget, EventGrant, EventOpener, GrantedEvent } from '../event_opener.js';
import { GrantWatch } from '../session/grant_watch.js';
import { kernelTextAddress } from '../symbols/kallsyms.js';
import { placeWhenExecuted } from '../session/place_output.js';
import { describeEvents, machineName } from './stored_events.js';
import { Synthesizer } from './synthesize.js';
import type { ObservedCommand } from '../observed_command.js';

/** What to record, and until when. */
export interface RecordingPlan {
  readonly targets: readonly CollectorTarget[];
  /** With sampling, as {@link recordingEvents} makes them. */
  readonly events: readonly EventSpec[];
  /** Display names, one for each event. */
  readonly names: readonly string[];
  readonly cpus: readonly number[];
  /** Bytes of one cpu's ring; a power of two of pages. */
  readonly ringBytes: number;
  readonly output: string;
  /** The output when it is open already, for reading and writing: used instead of creating one, closed, never removed. */
  readonly outputFd?: Fd;
  readonly version: string;
  readonly commandLine: readonly string[];
  /** A command that waits at its gate; the recording ends with it. It need not be a target. */
  readonly workload?: ObservedCommand;
  readonly durationMs?: number;
  /** Ends the recording; the file is completed. */
  readonly interrupt: AbortSignal;
  /** Called once, when recording has begun. */
  readonly onBegin?: (progress: () => DrainStats) => void;
}

/**
 * lease, revoked: the broker ended the grant, and switched the events off. removed: the command goes on, but the kernel took its
 * events away, because it executed a program that may not be observed (setuid, file capabilities, not readable).
 * not-executed: there is no command, so there is no file either.
 */
export type RecordingEnd =
  'duration' | 'command' | 'targets' | 'interrupt' | 'lease' | 'revoked' | 'removed' | 'not-executed' | 'write-error';

export interface RecordingSummary {
  readonly end: RecordingEnd;
  readonly samples: bigint;
  /** Records that found no room in a ring, whether or not a LOST record came to say so. */
  readonly lost: bigint;
  /** Times the kernel stopped an event for exceeding the sample rate. */
  readonly throttled: bigint;
  /** Of records in the file. */
  readonly bytes: number;
  readonly seconds: number;
  readonly fds: number;
  /** Threads were born faster than they could be attached to. */
  readonly unstable: boolean;
  /** Why writing stopped; the file holds what was written before. */
  readonly error?: NativeError;
}

const PAGE_BYTES = 4096;
/** Between the end of a task's events and that of its process lie microseconds in do_exit (kernel/exit.c). */
const EXIT_MS = 300;

/**
 * Records to a perf.data file. The file is complete whenever this resolves, also after an interrupt and, as far as the
 * disk allows, after a write error.
 * @throws what the opener throws when events are refused (nothing is written then), or the system's errors.
 */
export async function record(opener: EventOpener, plan: RecordingPlan): Promise<RecordingSummary> {
  const { targets, events, cpus, ringBytes } = plan;
  const grant = await opener.open({ targets, events, cpus, ringBytes, ringSlots: 'cpu' });
  try {
    const description = describeEvents(events, plan.names, grant);
    const file = outputOf(plan);
    const writer = new PerfDataWriter(file.fd, description.events);
    const state = { begun: false, placed: Promise.resolve() };
    try {
      const { tracingData } = description;
      const finish = (intact: boolean): number =>
        writer.finish(
          {
            hostname: hostname(),
            osRelease: release(),
            version: plan.version,
            arch: machineName(),
            cpusOnline: onlineCpus().length,
            cpusAvailable: possibleCpuCount(),
            commandLine: plan.commandLine,
            ...(tracingData === undefined ? {} : { tracingData }),
          },
          intact,
        );
      const [first] = description.events;
      const trailer = first === undefined ? 0 : sampleIdBytes(viewAttr(first.attr).sampleType);
      const synthesizer = new Synthesizer(trailer, (records) => writer.write(records));
      const onBegin = (progress: () => DrainStats): void => {
        state.begun = true;
        state.placed = placeWhenExecuted(file, plan.workload);
        plan.onBegin?.(progress);
      };
      const summary = await run({ ...plan, onBegin }, grant, writer, synthesizer, finish);
      await state.placed;
      return summary;
    } finally {
      writer.close();
      // A file without a single record helps nobody.
      file.discard();
    }
  } finally {
    await grant.close();
  }
}

/** An output that is open already has its name from whoever opened it. */
function outputOf({ output, outputFd }: RecordingPlan): NewOutputFile {
  const nothing = (): void => undefined;
  return outputFd === undefined ? openOutputFile(output) : { fd: outputFd, place: nothing, discard: nothing };
}

async function run(
  plan: RecordingPlan,
  grant: EventGrant,
  writer: PerfDataWriter,
  synthesizer: Synthesizer,
  finish: (intact: boolean) => number,
): Promise<RecordingSummary> {
  const drain = native.createDrain(writer.fd);
  const watch = new GrantWatch(grant, plan.targets);
  try {
    mapRings(drain, grant.events, plan.ringBytes / PAGE_BYTES);
    await grant.mapped();
    const onExec = plan.events.every((event) => event.enableOnExec);
    if (!onExec) for (const event of grant.events) event.enable();
    // After enabling: what is mapped in between is seen twice, and nothing is missed. The rings hold it meanwhile.
    synthesizeExisting(plan, grant, synthesizer);
    const began = process.hrtime.bigint();
    const drained = new Promise<{ error: NativeError | null; stats: DrainStats }>((resolve) => {
      drain.start((error, stats) => {
        resolve({ error, stats });
      });
    });
    plan.workload?.release();
    plan.onBegin?.(() => drain.stats());
    const reason = await ended(plan, watch, drained);
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    for (const event of grant.events) event.disable();
    drain.stop();
    const { error, stats } = await drained;
    const end = (reason === 'duration' || reason === 'interrupt') && (await watch.wasRevoked()) ? 'revoked' : reason;
    const lost = lostOf(plan.events, grant.events, stats);
    if (error === null && lost > stats.lost) synthesizer.lost(lost - stats.lost);
    const bytes = finish(error === null);
    return {
      end: error === null ? end : 'write-error',
      samples: stats.samples,
      lost,
      throttled: stats.throttled,
      bytes,
      seconds,
      fds: grant.events.length,
      unstable: grant.unstable,
      ...(error === null ? {} : { error }),
    };
  } finally {
    watch.dispose();
    drain.close();
  }
}

/** The first event of each cpu owns its ring, as the broker mapped it in advance; the others write there too. */
function mapRings(drain: Drain, events: readonly GrantedEvent[], pages: number): void {
  const rings = new Map<number, number>();
  for (const { cpu, fd } of events) {
    const ring = rings.get(cpu);
    if (ring === undefined) rings.set(cpu, drain.addRing(fd, pages));
    else drain.addEvent(fd, ring);
  }
}

function synthesizeExisting(plan: RecordingPlan, grant: EventGrant, synthesizer: Synthesizer): void {
  if (plan.events.some((event) => !event.exclude.includes('kernel'))) {
    const text = kernelTextAddress();
    if (text !== undefined) synthesizer.kernel(text);
  }
  if (plan.targets.some((target) => !('pid' in target))) synthesizer.allProcesses();
  for (const [index, target] of plan.targets.entries()) {
    if (!('pid' in target) || target.pid === plan.workload?.pid) continue;
    const tids = [...new Set(grant.events.filter((event) => event.target === index).map((event) => event.tid))];
    tids.sort((a, b) => a - b);
    const [leader] = tids;
    // Where the broker's word for the process differs from ours, it lives in another pid namespace.
    const foreign = !('tid' in target) && leader !== undefined && leader > 0 && !tids.includes(target.pid);
    synthesizer.process(foreign ? { pid: target.pid, recorded: { pid: leader, tids } } : { pid: target.pid });
  }
}

async function ended(
  plan: RecordingPlan,
  watch: GrantWatch,
  drained: Promise<{ error: NativeError | null }>,
): Promise<RecordingEnd> {
  const { workload, interrupt, durationMs } = plan;
  const observed =
    workload !== undefined && plan.targets.some((target) => 'pid' in target && target.pid === workload.pid);
  const timers = new AbortController();
  const after = (ms: number, end: RecordingEnd): Promise<RecordingEnd> => delay(ms, end, { signal: timers.signal });
  const ends: Promise<RecordingEnd>[] = [
    drained.then(async ({ error }) => {
      if (error !== null) return 'write-error';
      if (!observed) return 'targets';
      return Promise.race([workload.exited.then((): RecordingEnd => 'command'), after(EXIT_MS, 'removed')]);
    }),
    aborted(interrupt),
  ];
  if (workload !== undefined) ends.push(workload.exited.then(() => 'command'));
  if (durationMs !== undefined) ends.push(after(durationMs, 'duration'));
  ends.push(watch.ended);
  try {
    const end = await Promise.race(ends);
    return end === 'command' && (await workload?.executed) !== 0 ? 'not-executed' : end;
  } finally {
    for (const end of ends) end.catch(() => undefined);
    timers.abort();
  }
}

function aborted(signal: AbortSignal): Promise<RecordingEnd> {
  return new Promise((resolve) => {
    const onAbort = (): void => {
      resolve('interrupt');
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** PERF_FORMAT_LOST counts what a LOST record had no occasion to tell; words are value, id, lost (groups: other words). */
function lostOf(specs: readonly EventSpec[], events: readonly GrantedEvent[], stats: DrainStats): bigint {
  let lost = 0n;
  for (const event of events) {
    const format = specs[event.event]?.readFormat ?? [];
    if (format.includes('lost') && !format.includes('group')) lost += event.read()[2] ?? 0n;
  }
  return lost > stats.lost ? lost : stats.lost;
}
