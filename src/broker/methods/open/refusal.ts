/** The errors for replies of the opener. */
import { constants } from 'node:os';
import { brokerError } from '../../../model/errors/error_table.js';
import type { RefusalContext } from '../../../model/errors/kernel_errors.js';
import { kernelRefused } from '../../../model/errors/kernel_refused.js';
import { EVENT_CLASSES } from '../../../model/event.js';
import { eventName } from '../../../model/events/syntax/event_name.js';
import type { Subject } from '../../../model/identity/subject.js';
import { mismatchNames, type OpenerReply, type OpenerSlot } from '../../ipc/opener_protocol.js';
import { accessObstacles } from '../../processes/obstacles.js';
import { boundSocket } from '../../processes/peer.js';
import { targetChanged, type PinnedTarget, type ProcessTarget } from '../../processes/targets.js';
import type { VettedRequest } from './request.js';

/** Facts that make the text of a refusal precise. */
export interface RefusalFacts {
  /** The client. */
  readonly subject: Subject;
  readonly request: Pick<VettedRequest, 'specs' | 'ringPages'>;
  readonly host: {
    /** kernel.perf_event_paranoid */
    readonly paranoid: number;
    /** Capability that the opener holds. */
    readonly capability: string;
    /** Reads the cpus that are online now. */
    readonly onlineCpus: () => readonly number[];
  };
}

const { ENODEV, ESRCH } = constants.errno;

/**
 * The error for a reply other than `opened`. Every status has one.
 * @param slots as they were sent to the opener
 */
export function refusal(
  reply: OpenerReply,
  target: PinnedTarget,
  slots: readonly OpenerSlot[],
  facts: RefusalFacts,
): Error {
  const who = target.kind === 'process' ? `process ${target.process.pid}` : target.kind;
  const { paranoid, capability } = facts.host;
  switch (reply.status) {
    case 'ceiling':
      return ceilingExceeded(reply);
    case 'not-same-user':
      return target.kind === 'process' ? notSameUser(reply, target, facts.subject) : unexpected(reply);
    case 'target-gone':
      return brokerError('TargetGone', 'exited', `${who} ended in the meantime`);
    case 'target-changed':
      return targetChanged(who, mismatchNames(reply.detail));
    case 'open-failed':
      return openFailed(reply, who, slots, facts);
    case 'map-failed': {
      const what = `ring of ${facts.request.ringPages} pages for ${who}`;
      return kernelRefused(reply.detail, { what, call: 'mmap', paranoid, capability });
    }
    case 'bad-target':
      return brokerError(
        'InvalidTarget',
        target.kind === 'cgroup' ? 'not-a-cgroup' : 'not-a-pidfd',
        `the opener does not accept the fd of ${who}`,
      );
    case 'bad-client':
      return boundSocket('opener');
    default:
      return unexpected(reply);
  }
}

function ceilingExceeded({ detail }: OpenerReply): Error {
  const missing = EVENT_CLASSES.filter((_, bit) => ((detail >> bit) & 1) === 1);
  const text = `the ceiling of this daemon does not include ${missing.join(', ')}`;
  return brokerError('CeilingExceeded', missing[0] ?? 'user', text);
}

function notSameUser({ detail }: OpenerReply, target: ProcessTarget, subject: Subject): Error {
  const obstacles = accessObstacles(mismatchNames(detail), subject, target).join(', ');
  return brokerError(
    'CeilingExceeded',
    'other-users',
    `the caller itself cannot read process ${target.process.pid} (${obstacles}), and the ceiling does not include other-users`,
  );
}

/** The error of the first slot that failed. Slots of threads that have ended do not make a request fail. */
function openFailed(
  { slotErrnos }: OpenerReply,
  who: string,
  slots: readonly OpenerSlot[],
  { request, host }: RefusalFacts,
): Error {
  const failed = slotErrnos.findIndex((errno) => errno !== 0 && errno !== ESRCH);
  const errno = slotErrnos[failed] ?? 0;
  const { event = -1, cpu = -1 } = slots[failed] ?? {};
  const spec = request.specs[event];
  const { paranoid, capability } = host;
  const context: RefusalContext = {
    what: `${spec === undefined ? 'an event' : eventName(spec)} of ${who}`,
    call: 'perf_event_open',
    paranoid,
    capability,
    ...(spec === undefined ? {} : { source: spec.source.kind }),
    // perf_event_open(2) refuses a cpu that is offline by ENODEV (kernel/events/core.c). It can go offline after the request was vetted.
    ...(errno === ENODEV && cpu >= 0 && !host.onlineCpus().includes(cpu) ? { offlineCpu: cpu } : {}),
  };
  return kernelRefused(errno, context);
}

function unexpected({ status }: OpenerReply): Error {
  return brokerError('Unavailable', 'internal', `the opener answered ${status}`);
}
