import { release } from 'node:os';
import type { EventSpec, Sampling } from '../model/event.js';
import { withSampling } from '../model/events/event_defaults.js';

/** Settings that `record` adds to the events named on the command line. */
export interface RecordingStyle {
  /** Absent: {@link DEFAULT_FREQUENCY}, and every hit of tracepoints and breakpoints, as in perf. */
  readonly sampling?: Sampling;
  readonly callGraph: boolean;
  /** True when later threads and children are also observed. Has no effect on system and cgroup targets. */
  readonly inherit: boolean;
  /** True when recording starts with the exec of the observed process. */
  readonly enableOnExec: boolean;
}

/** Default frequency in Hz. Not a round number, so that samples do not run in step with timers of the observed program. */
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
