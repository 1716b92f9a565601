/** Reads a rule's tables `subjects` and `targets`. Their meaning is in decide/subjects.ts and decide/targets.ts. */
import { suggestion } from '../../common/nearest.js';
import { quote } from '../../common/quote.js';
import type { NameResolver } from './names.js';
import { describe, Refusal, type TableReader } from './reader.js';
import type { RuleSubjects, RuleTargets } from '../types.js';

export const SUBJECT_KEYS = ['users', 'groups', 'units', 'administrator', 'everyone'] as const;
export const TARGET_KEYS = [
  'same_user',
  'any_user',
  'users',
  'units',
  'cgroups',
  'executables',
  'system',
  'any_cgroup',
] as const;

/** The kernel reserves uid and gid 2^32-1 ("no change"). */
const HIGHEST_ID = 2 ** 32 - 2;

/** @param onUnknownGroup receives the name of a missing group, which then has no members; without it such a group is a problem */
export function readSubjects(
  reader: TableReader,
  names: NameResolver,
  onUnknownGroup?: (name: string) => void,
): RuleSubjects {
  const subjects = {
    everyone: reader.boolean('everyone'),
    administrator: reader.boolean('administrator'),
    uids: reader.list('users', 'user names or uids', (value) => readId(value, 'user', names.user)),
    gids: reader
      .list('groups', 'group names or gids', (value) => {
        const gid = readId(value, 'group', names.group);
        if (!(gid instanceof Refusal) || typeof value !== 'string' || onUnknownGroup === undefined) return gid;
        onUnknownGroup(value);
        return undefined;
      })
      .filter((gid) => gid !== undefined),
    units: reader.list('units', 'systemd unit names', readUnit),
  };
  const isEmpty = !SUBJECT_KEYS.some((key) => isSelected(reader.get(key)));
  if (isEmpty) reader.problem([], 'selects no subject', `Name at least one of ${SUBJECT_KEYS.join(', ')}.`);
  if (subjects.everyone && SUBJECT_KEYS.some((key) => key !== 'everyone' && isSelected(reader.get(key)))) {
    reader.problem(['everyone'], 'makes the other subjects meaningless', 'Remove it, or remove the other subjects.');
  }
  return subjects;
}

export function readTargets(reader: TableReader, names: NameResolver): RuleTargets {
  const targets = {
    sameUser: reader.boolean('same_user'),
    anyUser: reader.boolean('any_user'),
    uids: reader.list('users', 'user names or uids', (value) => readId(value, 'user', names.user)),
    units: reader.list('units', 'systemd unit names', readUnit),
    cgroups: reader.list('cgroups', 'cgroup paths', readCgroup),
    executables: reader.list('executables', 'absolute paths', readExecutable),
    system: reader.boolean('system'),
    anyCgroup: reader.boolean('any_cgroup'),
  };
  const whose = ['same_user', 'any_user', 'users'].some((key) => isSelected(reader.get(key)));
  const where = ['units', 'cgroups', 'executables'].find((key) => isSelected(reader.get(key)));
  if (!whose && where !== undefined) {
    reader.problem(
      [where],
      'selects processes, but not their users',
      'Add same_user = true, users = [...] or any_user = true.',
    );
  } else if (!whose && !targets.system && !targets.anyCgroup) {
    reader.problem([], 'selects no target', `Name at least one of same_user, any_user, users, system, any_cgroup.`);
  }
  return targets;
}

function isSelected(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
}

function readId(
  value: unknown,
  kind: 'user' | 'group',
  lookUp: (name: string) => number | undefined,
): number | Refusal {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= HIGHEST_ID) return value;
  if (typeof value !== 'string') {
    return new Refusal(
      `${describe(value)} is not a ${kind}`,
      `Write a name in quotes, or a number from 0 to ${HIGHEST_ID}.`,
    );
  }
  const id = lookUp(value);
  if (id !== undefined) return id;
  const remedy = /^\d+$/.test(value)
    ? 'Write a number without quotes.'
    : `Create it, or correct the name (\`getent ${kind === 'user' ? 'passwd' : 'group'}\` lists all).`;
  return new Refusal(`no ${kind} is called ${quote(value)}`, remedy);
}

function readUnit(value: unknown): string | Refusal {
  const pattern = 'Write the name of a service or scope ("nginx.service"), or a prefix and a star ("worker@*").';
  if (typeof value !== 'string') return new Refusal(`${describe(value)} is not a unit`, pattern);
  if (value.endsWith('.slice')) {
    return new Refusal(
      `${quote(value)} is a slice, not a unit of processes`,
      'Name the cgroup of the slice in cgroups.',
    );
  }
  return /^[A-Za-z0-9:_.\\@-]+(?:\*|\.(?:service|scope|socket|mount|swap))$/.test(value)
    ? value
    : new Refusal(`${describe(value)} is not a unit`, pattern);
}

function readCgroup(value: unknown): string | Refusal {
  const form = 'Write the path that /proc/PID/cgroup shows, such as "/system.slice/nginx.service".';
  if (typeof value !== 'string' || !(value === '/' || isPlainPath(value))) {
    return new Refusal(`${describe(value)} is not a cgroup path`, form);
  }
  if (value.startsWith('/sys/fs/cgroup')) {
    const path = value.replace(/^\/sys\/fs\/cgroup(?:\/unified|\/systemd)?/, '') || '/';
    return new Refusal('is a path in the file system', `Write it without the mount point: ${quote(path)}.`);
  }
  return value;
}

function readExecutable(value: unknown): string | Refusal {
  return typeof value === 'string' && isPlainPath(value)
    ? value
    : new Refusal(
        `${describe(value)} is not a path of an executable`,
        'Write an absolute path without links, as readlink /proc/PID/exe prints it.',
      );
}

/** @returns whether the path is absolute and could be equal to one that the kernel prints */
function isPlainPath(path: string): boolean {
  return (
    path.startsWith('/') &&
    !/\p{Cc}/u.test(path) &&
    path
      .slice(1)
      .split('/')
      .every((component) => component !== '' && component !== '.' && component !== '..')
  );
}

/** Reads one of `words`. */
export function readWord<Word extends string>(value: unknown, words: readonly Word[], what: string): Word | Refusal {
  const word = words.find((known) => known === value);
  if (word !== undefined) return word;
  const guess = typeof value === 'string' ? suggestion(value, words) : '';
  return new Refusal(
    `${describe(value)} is not ${what.startsWith('event') ? 'an' : 'a'} ${what}`,
    `${guess}Allowed: ${words.join(', ')}.`,
  );
}
