/** Texts about a request for an authorization dialog. A dialog shows little, so a text that is cut off must not mislead its reader. */
import type { EventSpec, SampleField } from '../../../model/event.js';
import { eventName } from '../../../model/events/syntax/event_name.js';
import { targetName, type PinnedTarget, type ProcessTarget } from '../../processes/targets.js';

const MAX_USERS = 5;

/** Number and users of the targets come first, because the names can be cut off. */
export function targetsText(targets: readonly PinnedTarget[]): string {
  const processes = targets.filter((target) => target.kind === 'process');
  const users = processes.length === 0 ? '' : ` of ${usersText(processes)}`;
  if (targets.length === 1) return `${targets.map(targetName).join('')}${users}`;
  return `${targets.length} targets${users}: ${targets.map(targetName).join(', ')}`;
}

/** In ascending order, so that the cut never hides root. */
function usersText(processes: readonly ProcessTarget[]): string {
  const uids = [...new Set(processes.flatMap(({ process }) => process.uids))].sort((a, b) => a - b);
  return uids.length <= MAX_USERS
    ? `uid ${uids.join(', ')}`
    : `${uids.length} users, uid ${uids.slice(0, MAX_USERS).join(', ')}, …`;
}

/** Sample fields that reveal the contents of memory or data of the machine, besides addresses of code. */
const REVEALING: readonly (readonly [words: string, ...fields: SampleField[]])[] = [
  ['call chains', 'callchain'],
  ['registers', 'regs_user', 'regs_intr'],
  ['branches', 'branch_stack'],
  ['addresses of data', 'addr', 'phys_addr'],
  ['raw data', 'raw', 'aux'],
];

/** Text about the events of a request. The data in the samples comes before the names, because the names can be cut off. */
export function eventsText(specs: readonly EventSpec[]): string {
  const names = specs.map(eventName);
  const how = howText(specs);
  if (how === '' && names.length === 1) return names.join('');
  return `${names.length} event${names.length === 1 ? '' : 's'}${how}: ${names.join(', ')}`;
}

/** ` (sampled with registers, 65528 bytes of stack; children too)`. Empty for counters without children. */
function howText(specs: readonly EventSpec[]): string {
  const sampled = specs.filter(({ sampling }) => sampling !== undefined);
  const words = REVEALING.filter(([, ...fields]) =>
    sampled.some(({ sampleType }) => fields.some((field) => sampleType.includes(field))),
  ).map(([text]) => text);
  const stack = Math.max(0, ...sampled.map(({ stackUser = 0 }) => stackUser));
  if (stack > 0) words.push(`${stack} bytes of stack`);
  const parts = [
    ...(sampled.length === 0 ? [] : [`sampled${words.length === 0 ? '' : ` with ${words.join(', ')}`}`]),
    ...(specs.some(({ inherit }) => inherit) ? ['children too'] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}
