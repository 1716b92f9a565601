import type { PerfDataEvent } from '../../formats/perfdata_features.js';
import type { Resolved } from '../../model/events/event_fields.js';
import { encodeAttr } from '../../model/events/attr/attr.js';
import type { EventSpec } from '../../model/event.js';
import type { EventGrant } from '../event_opener.js';
import { pmuType } from '../host/pmu_sysfs.js';
import type { TracepointFormat } from './tracing_data.js';
import { encodeTracingData, tracepointFormat } from './tracing_data.js';

/** Description of events in a perf.data file. */
export interface StoredDescription {
  readonly events: readonly PerfDataEvent[];
  readonly tracingData?: Uint8Array;
}

/**
 * Describes opened events for the file: the attrs given to the kernel, and the ids in the samples.
 * @param names display names, one for each spec
 */
export function describeEvents(
  specs: readonly EventSpec[],
  names: readonly string[],
  grant: Pick<EventGrant, 'events'>,
): StoredDescription {
  const ids = specs.map((): bigint[] => []);
  for (const event of grant.events) ids[event.event]?.push(event.id());
  const tracepoints: TracepointFormat[] = [];
  const events = specs.map((spec, index) => ({
    name: names[index] ?? `event ${index}`,
    attr: encodeAttr(spec, resolve(spec, index, tracepoints)),
    ids: ids[index] ?? [],
  }));
  return tracepoints.length === 0 ? { events } : { events, tracingData: encodeTracingData(tracepoints) };
}

function resolve(spec: EventSpec, index: number, tracepoints: TracepointFormat[]): Resolved {
  const { source } = spec;
  if (source.kind === 'pmu' && typeof source.pmu === 'string') return { pmuType: pmuType(source.pmu) };
  if (source.kind !== 'tracepoint') return {};
  const name = 'name' in source ? source.name : `unknown:id-${source.id}`;
  const format = tracepointFormat(name, 'id' in source ? source.id : index + 1);
  tracepoints.push(format);
  return { tracepointId: format.id };
}

/** Machine name as `uname -m` prints it, such as `x86_64`; Node.js uses other names. */
export function machineName(): string {
  const names: Partial<Record<NodeJS.Architecture, string>> = { x64: 'x86_64', arm64: 'aarch64' };
  return names[process.arch] ?? process.arch;
}
