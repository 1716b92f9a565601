import { PAGE_BYTES } from '../../common/page.js';
import { hostname, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { sampleIdBytes, viewAttr } from '../../formats/attr_view.js';
import { OutputFile } from '../../formats/output_file.js';
import { PerfDataWriter } from '../../formats/perfdata_writer.js';
import type { EventSpec } from '../../model/event.js';
import type { Drain, DrainStats, NativeError } from '../../native.js';
import { native } from '../../native.js';
import { possibleCpuCount } from '../../common/cpus.js';
import type { EventGrant, EventOpener, GrantedEvent } from '../event_opener.js';
import { GrantWatch } from '../session/grant_watch.js';
import { placeWhenExecuted } from '../session/place_output.js';
import { confirmEnd, endOf, observesCommand } from '../session/session_end.js';
import { synthesizeExisting } from './existing_processes.js';
import type { RecordingEnd, RecordingPlan, RecordingSummary } from './recording_plan.js';
import type { StoredDescription } from './stored_events.js';
import { describeEvents, machineName } from './stored_events.js';
import { Synthesizer } from './synthesize.js';

/** do_exit (kernel/exit.c) ends a task's events microseconds before its process. */
const EXIT_MS = 300;

/**
 * Records to a perf.data file. The file is complete whenever this resolves, also after an interrupt and, as far as the
 * disk allows, after a write error.
 * @throws what the opener throws when events are refused (nothing is written then), or the system's errors
 */
export async function record(opener: EventOpener, plan: RecordingPlan): Promise<RecordingSummary> {
  const { targets, events, cpus, ringBytes } = plan;
  await using grant = await opener.open({ targets, events, cpus, ringBytes, ringSlots: 'cpu' });
  const description = describeEvents(events, plan.names, grant);
  // Discarded unless it is placed: a file without a single record is useless.
  using output = plan.outputFd === undefined ? OutputFile.create(plan.output) : OutputFile.adopt(plan.outputFd);
  using writer = new PerfDataWriter(output.takeFd(), description.events);
  using recorder = new Recorder(plan, grant, writer, description);
  let placed = Promise.resolve();
  const summary = await recorder.run(() => {
    placed = placeWhenExecuted(output, plan.workload);
  });
  await placed;
  return summary;
}

/** End of the drain: every ring has lost its last event, or writing failed. */
interface Drained {
  readonly error: NativeError | null;
  readonly stats: DrainStats;
}

class Recorder implements Disposable {
  readonly #plan: RecordingPlan;
  readonly #grant: EventGrant;
  readonly #writer: PerfDataWriter;
  readonly #tracingData: Uint8Array | undefined;
  readonly #synthesizer: Synthesizer;
  readonly #drain: Drain;
  readonly #watch: GrantWatch;

  constructor(
    plan: RecordingPlan,
    grant: EventGrant,
    writer: PerfDataWriter,
    { events: [first], tracingData }: StoredDescription,
  ) {
    this.#plan = plan;
    this.#grant = grant;
    this.#writer = writer;
    this.#tracingData = tracingData;
    const trailer = first === undefined ? 0 : sampleIdBytes(viewAttr(first.attr).sampleType);
    this.#synthesizer = new Synthesizer(trailer, (records) => writer.write(records));
    this.#drain = native.createDrain(writer.fd);
    this.#watch = new GrantWatch(grant, plan.targets);
  }

  async run(onBegin: () => void): Promise<RecordingSummary> {
    const { events } = this.#grant;
    mapRings(this.#drain, events, this.#plan.ringBytes / PAGE_BYTES);
    await this.#grant.mapped();
    const onExec = this.#plan.events.every((event) => event.enableOnExec);
    if (!onExec) for (const event of events) event.enable();
    // After enabling: a mapping made in between is recorded twice, and none is missed. The rings hold it in the meantime.
    synthesizeExisting(this.#plan, this.#grant, this.#synthesizer);
    const began = process.hrtime.bigint();
    const drained = this.#startDrain();
    this.#plan.workload?.release();
    onBegin();
    this.#plan.onBegin?.(() => this.#drain.stats());
    const end = await endOf(this.#plan, this.#watch, (over) => this.#endOfDrain(drained, over));
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    for (const event of events) event.disable();
    this.#drain.stop();
    const summary = this.#summarize(await drained, await confirmEnd(end, this.#watch), seconds);
    const lossOfBroker = await this.#watch.lossOfBroker();
    return lossOfBroker === undefined ? summary : { ...summary, lossOfBroker };
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#drain.close();
  }

  #startDrain(): Promise<Drained> {
    return new Promise((resolve) => {
      this.#drain.start((error, stats) => {
        resolve({ error, stats });
      });
    });
  }

  async #endOfDrain(drained: Promise<Drained>, over: AbortSignal): Promise<RecordingEnd> {
    const { error } = await drained;
    if (error !== null) return 'write-error';
    const { workload } = this.#plan;
    if (workload === undefined || !observesCommand(this.#plan)) return 'targets';
    const exited = workload.exited.then(() => 'command' as const);
    return Promise.race([exited, delay(EXIT_MS, 'removed' as const, { signal: over })]);
  }

  #summarize({ error, stats }: Drained, end: RecordingEnd, seconds: number): RecordingSummary {
    const { events, unstable } = this.#grant;
    const lost = lostOf(this.#plan.events, events, stats);
    if (error === null && lost > stats.lost) this.#synthesizer.lost(lost - stats.lost);
    const bytes = this.#finishFile(error === null);
    const { samples, throttled } = stats;
    const counts = samples === 0n ? { counts: countsOf(this.#plan.events, events) } : {};
    const { unreadable: unreadableMaps } = this.#synthesizer;
    const figures = { samples, lost, throttled, bytes, seconds };
    const summary = { ...figures, fds: events.length, unstable, unreadableMaps, ...counts };
    return error === null ? { ...summary, end } : { ...summary, end: 'write-error', error };
  }

  #finishFile(intact: boolean): number {
    const { version, commandLine, cpus, cpusOnline = cpus.length } = this.#plan;
    const info = {
      hostname: hostname(),
      osRelease: release(),
      version,
      arch: machineName(),
      cpusOnline,
      cpusAvailable: Math.max(possibleCpuCount(), cpusOnline),
      commandLine,
      ...(this.#tracingData === undefined ? {} : { tracingData: this.#tracingData }),
    };
    return this.#writer.finish(info, intact);
  }
}

/** Maps one ring for each cpu. Its first event owns it, as the broker mapped it in advance; the others write there as well. */
function mapRings(drain: Drain, events: readonly GrantedEvent[], pages: number): void {
  const rings = new Map<number, number>();
  for (const { cpu, fd } of events) {
    const ring = rings.get(cpu);
    if (ring === undefined) rings.set(cpu, drain.addRing(fd, pages));
    else drain.addEvent(fd, ring);
  }
}

/** Count of each event, with that of inherited ones. The events of a group are read in another layout. */
function countsOf(specs: readonly EventSpec[], events: readonly GrantedEvent[]): readonly (bigint | undefined)[] {
  const counts = specs.map(({ readFormat }): bigint | undefined => (readFormat.includes('group') ? undefined : 0n));
  for (const event of events) {
    const count = counts[event.event];
    if (count !== undefined) counts[event.event] = count + (event.read()[0] ?? 0n);
  }
  return counts;
}

/**
 * Records that were lost. PERF_FORMAT_LOST also counts those after the last LOST record; the words read are value, id,
 * lost. Those of a group are laid out otherwise and are not used.
 */
function lostOf(specs: readonly EventSpec[], events: readonly GrantedEvent[], stats: DrainStats): bigint {
  let lost = 0n;
  for (const event of events) {
    const format = specs[event.event]?.readFormat ?? [];
    if (format.includes('lost') && !format.includes('group')) lost += event.read()[2] ?? 0n;
  }
  return lost > stats.lost ? lost : stats.lost;
}
