import { release } from 'node:os';
import type { EventSpec, ReadFormat, Sampling, SampleField } from '../model/event.js';

/** What `record` adds to events as they were named on the command line. */
export interface RecordingStyle {
  /** As asked for; absent: {@link DEFAULT_FREQUENCY}, and every single occurrence of tracepoints and breakpoints, as perf does. */
  readonly sampling?: Sampling;
  readonly callGraph: boolean;
  /** Children and threads born later are observed too. Of no meaning for system and cgroup targets. */
  readonly inherit: boolean;
  /** Begin when the observed process executes its program. */
  readonly enableOnExec: boolean;
}

/** Hz. Not a round number, so that samples do not run in step with timers of the observed program. */
export const DEFAULT_FREQUENCY = 999;

/** Every sample of a recording has these: enough to name the place, the thread, the cpu and the event. */
const SAMPLE_TYPE: readonly SampleField[] = ['identifier', 'ip', 'tid', 'time', 'cpu', 'period'];

export function recordingEvents(bare: readonly EventSpec[], style: RecordingStyle): readonly EventSpec[] {
  return bare.map((spec, index) => {
    const everyOne = spec.source.kind === 'tracepoint' || spec.source.kind === 'breakpoint';
    const sampleType: SampleField[] = [...SAMPLE_TYPE];
    if (style.callGraph) sampleType.push('callchain');
    if (spec.source.kind === 'tracepoint') sampleType.push('raw');
    return {
      ...spec,
      sampling: style.sampling ?? (everyOne ? { period: 1n } : { frequency: DEFAULT_FREQUENCY }),
      sampleType,
      readFormat: readFormat(),
      // One event tells of mappings, names and births for all: they share the rings.
      records: index === 0 ? ['mmap', 'mmap2', 'comm', 'comm_exec', 'task'] : [],
      sampleIdAll: true,
      inherit: style.inherit,
      enableOnExec: style.enableOnExec,
    };
  });
}

export function countingEvents(
  bare: readonly EventSpec[],
  style: Pick<RecordingStyle, 'inherit' | 'enableOnExec'>,
): readonly EventSpec[] {
  return bare.map((spec) => ({
    ...spec,
    readFormat: ['total_time_enabled', 'total_time_running'],
    inherit: style.inherit,
    enableOnExec: style.enableOnExec,
  }));
}

/** PERF_FORMAT_LOST came with Linux 6.0; without it the last records that were lost may go uncounted. */
function readFormat(): readonly ReadFormat[] {
  return Number.parseInt(release(), 10) >= 6 ? ['id', 'lost'] : ['id'];
}
