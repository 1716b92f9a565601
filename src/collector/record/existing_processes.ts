import type { EventGrant } from '../event_opener.js';
import { kernelTextAddress } from '../symbols/kallsyms.js';
import type { RecordingPlan } from './recording_plan.js';
import type { Synthesizer } from './synthesize.js';

/** Describes to the file what was there before the recording: the kernel's text, the processes, their mappings. */
export function synthesizeExisting(
  { events, targets, workload }: Pick<RecordingPlan, 'events' | 'targets' | 'workload'>,
  grant: Pick<EventGrant, 'events'>,
  synthesizer: Synthesizer,
): void {
  if (events.some((event) => !event.exclude.includes('kernel'))) {
    const text = kernelTextAddress();
    if (text !== undefined) synthesizer.kernel(text);
  }
  if (targets.some((target) => !('pid' in target))) synthesizer.allProcesses();
  for (const [index, target] of targets.entries()) {
    if (!('pid' in target) || target.pid === workload?.pid) continue;
    const tids = [...new Set(grant.events.filter((event) => event.target === index).map((event) => event.tid))];
    tids.sort((a, b) => a - b);
    const [leader] = tids;
    // Where the broker's numbers do not include ours, the broker lives in another pid namespace.
    const foreign = !('tid' in target) && leader !== undefined && leader > 0 && !tids.includes(target.pid);
    synthesizer.process(foreign ? { pid: target.pid, recorded: { pid: leader, tids } } : { pid: target.pid });
  }
}
