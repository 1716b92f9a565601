import { release } from 'node:os';
import type { EventSpec, Sampling } from '../model/event.js';
import { withSampling } from '../model/events/event_defaults.js';

/** What `record` adds to events as they were named on the command line. */
export interface RecordingStyle {
  /** As asked for. Absent: {@link DEFAULT_FREQUENCY}, and each single occurrence of tracepoints and breakpoints, as perf does. */
  readonly sampling?: Sampling;
  readonly callGraph: boolean;
  /** Children and threads born later are observed too. Of no meaning for system and cgroup targets. */
  readonly inherit: boolean;
  /** Begin when the observed process executes its program. */
  readonly enableOnExec: boolean;
}

/** Hz. Not a round number, so that samples do not run in step with timers of the observed program. */
export const DEFAULT_FREQUENCY = 999;

export function recordingEvents(bare: readonly EventSpec[], style: RecordingStyle): readonly EventSpec[] {
  const { sampling, callGraph, inherit, enableOnExec } = style;
  const events = bare.map((event) => {
    const rare = event.source.kind === 'tracepoint' || event.source.kind === 'breakpoint';
    return rare && sampling === undefined && event.sampling === undefined
      ? { ...event, sampling: { period: 1n } }
      : event;
  });
  return withSampling(events, {
    sampling: sampling ?? { frequency: DEFAULT_FREQUENCY },
    callchain: callGraph,
    inherit,
    enableOnExec,
    // PERF_FORMAT_LOST came with Linux 6.0.
    lost: Number.parseInt(release(), 10) >= 6,
  });
}
