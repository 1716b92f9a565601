/** What a dialog tells of a request. It shows little, and its reader must not be misled by what it leaves out. */
import { targetName, type PinnedTarget, type ProcessTarget } from './targets.js';

const MAX_TEXT = 200;
const MAX_USERS = 5;

/** Names come from users: no controls, no invisible characters, no markup gets into a dialog. */
export function dialogText(text: string): string {
  const safe = text.replace(/[\p{C}\p{Zl}\p{Zp}<>&]/gu, '?');
  // Cut between UTF-16 halves, the last one is dropped.
  return safe.length <= MAX_TEXT ? safe : `${safe.slice(0, MAX_TEXT - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Where there are several: how many, and whose, come before the names, which may be cut off. */
export function targetsText(targets: readonly PinnedTarget[]): string {
  const processes = targets.filter((target) => target.kind === 'process');
  const users = processes.length === 0 ? '' : ` of ${usersText(processes)}`;
  if (targets.length === 1) return `${targets.map(targetName).join('')}${users}`;
  return `${targets.length} targets${users}: ${targets.map(targetName).join(', ')}`;
}

/** In ascending order, so that root is never behind the others, and not more than a few. */
function usersText(processes: readonly ProcessTarget[]): string {
  const uids = [...new Set(processes.flatMap(({ process }) => process.uids))].sort((a, b) => a - b);
  return uids.length <= MAX_USERS
    ? `uid ${uids.join(', ')}`
    : `${uids.length} users, uid ${uids.slice(0, MAX_USERS).join(', ')}, …`;
}

/** As for targets. */
export function eventsText(names: readonly string[]): string {
  return names.length === 1 ? names.join('') : `${names.length} events: ${names.join(', ')}`;
}
