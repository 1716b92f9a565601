/** Reasons why a process does not count as the caller's own, with a remedy that this caller can follow. */
import { mainObstacle, sameUserObstacles, type AccessObstacle } from '../../model/identity/access.js';
import { capabilityNames } from '../../model/identity/capabilities.js';
import type { Subject } from '../../model/identity/subject.js';
import type { IdTriple, ProcessIdentity, Target } from '../../model/identity/target.js';

export interface Obstacle {
  /** Code of PolicyDenied. */
  readonly code: AccessObstacle | 'access';
  /** Clause that follows a colon: `its uid is 1001 and the caller's is 1000`. */
  readonly text: string;
  /** Steps that remove the obstacle, as sentences. */
  readonly remedy: string;
}

/** Capabilities that a text names; a process of root has forty. */
const MAX_CAPABILITIES = 3;

/** @returns undefined for a process that counts as the caller's own, and for a target that is not a process */
export function obstacleOf(subject: Subject, target: Target): Obstacle | undefined {
  if (target.kind !== 'process') return undefined;
  const ofCaller = callerObstacle(subject);
  const all = sameUserObstacles(subject, target.process);
  // Capabilities of a caller that cannot be verified do not count, so the target seems to have more.
  const obstacles = ofCaller === undefined ? all : all.filter((obstacle) => obstacle !== 'capabilities');
  const code = ofCaller?.code ?? mainObstacle(obstacles);
  if (code === undefined) return undefined;
  const texts = obstacles.map((obstacle) => describe(obstacle, subject, target.process)).join(', ');
  const remedy = remedyOf(obstacles, subject, target.process);
  return {
    code,
    text: [ofCaller?.text ?? '', texts].filter((text) => text !== '').join('; and '),
    remedy: [ofCaller?.remedy ?? '', remedy].filter((step) => step !== '').join(' '),
  };
}

/**
 * Obstacle of a caller that cannot be verified: no process counts as its own. Without `other-users` in its ceiling the opener examines the
 * process that connected, and takes it for no client at all in these cases (examine_client in native/core/client.cc).
 */
function callerObstacle({ dumpable, ownIds }: Subject): Obstacle | undefined {
  if (!dumpable)
    return {
      code: 'access',
      text: 'the caller itself is not dumpable, so the broker cannot verify its capabilities and ids',
      remedy:
        'After a change of ids (setresuid(2)), execute a program or call prctl(PR_SET_DUMPABLE, 1), and connect after that. Without a change of ids, use an executable that the user of the collector can read.',
    };
  return ownIds ? undefined : OTHER_IDS;
}

/** Obstacle of a caller that changed its ids after it connected. */
export const OTHER_IDS: Obstacle = {
  code: 'access',
  text: 'the process of the caller has other uids or gids than its connection',
  remedy: 'Connect to the broker again after every change of ids.',
};

function describe(obstacle: AccessObstacle, subject: Subject, process: ProcessIdentity): string {
  switch (obstacle) {
    case 'uid':
      return `${describeIds('uid', process.uids)} and the caller's is ${subject.uid}`;
    case 'gid':
      return `${describeIds('gid', process.gids)} and the caller's is ${subject.gid}`;
    case 'not-dumpable':
      return 'it is not dumpable';
    case 'capabilities':
      return describeCapabilities(subject, process);
    case 'user-namespace':
      return subject.sameUserNamespace
        ? 'it is in another user namespace than the broker'
        : 'the caller is in another user namespace than the broker';
  }
}

function describeIds(what: 'uid' | 'gid', ids: IdTriple): string {
  const [id, ...others] = new Set(ids);
  return others.length === 0 ? `its ${what} is ${id}` : `its ${what}s are ${ids.join('/')} (real/effective/saved)`;
}

function describeCapabilities(subject: Subject, { permitted }: ProcessIdentity): string {
  const names = capabilityNames(permitted & ~subject.permitted);
  const more = names.length > MAX_CAPABILITIES ? ` and ${names.length - MAX_CAPABILITIES} more` : '';
  const named = `${names.slice(0, MAX_CAPABILITIES).join(', ')}${more}`;
  if (!subject.asConnected)
    return `it has ${named}, and the caller's capabilities do not count: its groups are not those of its connection`;
  return `it has ${named}, which the caller does not have`;
}

/** Another namespace or other ids stand before the rest: capabilities and dumpability of a process mean little without them. */
function remedyOf(obstacles: readonly AccessObstacle[], subject: Subject, process: ProcessIdentity): string {
  if (obstacles.includes('user-namespace')) {
    if (!subject.sameUserNamespace) return 'Run the collector outside of its container or user namespace.';
    const asCaller = obstacles.includes('uid') ? `as uid ${subject.uid} with gid ${subject.gid}, ` : '';
    return `Run the target ${asCaller}outside of its container or user namespace.`;
  }
  // A setuid or setgid program is not dumpable for that reason.
  if (hasSeveral(process.uids) || hasSeveral(process.gids)) return WITHOUT_SETUID;
  const steps: string[] = [];
  if (obstacles.includes('uid')) steps.push(runAsOwner(process));
  else if (obstacles.includes('gid')) steps.push(shareGroup(subject, process));
  else if (obstacles.includes('capabilities')) steps.push(levelCapabilities(subject));
  if (obstacles.includes('not-dumpable'))
    steps.push(
      'Start the target from an executable that its user can read, or have it execute a program or call prctl(PR_SET_DUMPABLE, 1) after it changed its ids.',
    );
  return steps.join(' ');
}

const WITHOUT_SETUID =
  'Start the target without a setuid or setgid program: a process with several ids is the own process of no user.';

function hasSeveral(ids: IdTriple): boolean {
  return new Set(ids).size > 1;
}

/** The caller may not be able to, and the policy may not name that user. */
function runAsOwner({ uids: [uid], gids: [gid] }: ProcessIdentity): string {
  return `Run the collector as uid ${uid} with gid ${gid}, if the policy has a rule for that user.`;
}

function shareGroup({ gid: own, groups }: Subject, { gids: [gid] }: ProcessIdentity): string {
  return groups.includes(gid)
    ? `Run the collector with gid ${gid} as its primary group (newgrp(1)).`
    : `Start the target with gid ${own} as its primary group.`;
}

function levelCapabilities({ asConnected }: Subject): string {
  if (!asConnected) return 'Connect to the broker again after every change of groups.';
  return 'Start the target without these capabilities (setpriv(1), or AmbientCapabilities= of its unit).';
}
