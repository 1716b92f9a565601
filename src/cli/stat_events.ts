/** What `stat` counts when nobody says what. */
import type { Client } from '../client/index.js';
import type { EventSpec } from '../model/event.js';
import { eventsFrom } from './event_option.js';

export const SOFTWARE = 'task-clock,context-switches,cpu-migrations,page-faults';
export const HARDWARE = 'cycles,instructions,branches,branch-misses';

/** Both sides of each event, as perf's; those of a cpu PMU where the machine has one. */
export async function defaultEvents(client: Client): Promise<readonly EventSpec[]> {
  const hardware = (await client.describe()).pmus.some(({ name }) => name === 'cpu' || name.startsWith('cpu_'));
  return eventsFrom(hardware ? `${SOFTWARE},${HARDWARE}` : SOFTWARE);
}

/** The same of the user's side alone: what is counted where policy does not allow the kernel's. */
export function userModeOf(events: readonly EventSpec[]): readonly EventSpec[] {
  return events.map((event) => ({ ...event, exclude: ['kernel', 'hv'] }));
}
