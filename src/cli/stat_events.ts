/** Default events of `stat`. */
import type { Client } from '../client/index.js';
import type { EventSpec } from '../model/event.js';
import { eventsFrom } from './event_option.js';

export const SOFTWARE = 'task-clock,context-switches,cpu-migrations,page-faults';
export const HARDWARE = 'cycles,instructions,branches,branch-misses';

/** Default events in user and kernel mode, as in perf; with those of a cpu PMU where the machine has one. */
export async function defaultEvents(client: Client): Promise<readonly EventSpec[]> {
  const hardware = (await client.describe()).pmus.some(({ name }) => name === 'cpu' || name.startsWith('cpu_'));
  return eventsFrom(hardware ? `${SOFTWARE},${HARDWARE}` : SOFTWARE);
}

/** The same events in user mode alone. */
export function userModeOf(events: readonly EventSpec[]): readonly EventSpec[] {
  return events.map((event) => ({ ...event, exclude: ['kernel', 'hv'] }));
}
