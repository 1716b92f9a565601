/** Downgrades one process: the request to the tracer, its reply or error, and the audit record of the result. */
import { readFileSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { brokerError } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import type { Subject } from '../../../model/identity/subject.js';
import type { Fd, LaneUser } from '../../../native.js';
import type { CapabilitySets as CapabilitySetsJson, DowngradedProcess } from '../../../interfaces/broker_types.js';
import type { DowngradeReply } from '../../ipc/tracer.js';
import { mismatchNames } from '../../ipc/opener_protocol.js';
import { MAX_THREADS, REFUSALS, type CapabilitySets, type ThreadResult } from '../../ipc/tracer_protocol.js';
import { lockScopeOf } from '../../processes/lock_scope.js';
import { accessObstacles } from '../../processes/obstacles.js';
import { boundSocket } from '../../processes/peer.js';
import { processFacts, targetChanged, type ProcessTarget } from '../../processes/targets.js';
import type { AuditTrail, Client } from '../request/context.js';
import type { DowngradeContext, Tracer } from './context.js';
import { orderFacts, type DowngradeOrder } from './order.js';

/** The rights that one process is to lose. */
export interface ProcessDowngrade {
  readonly tracer: Tracer;
  readonly target: ProcessTarget;
  readonly order: DowngradeOrder;
}

/** Threads named in a message. */
const MAX_NAMED = 8;

/** @throws BrokerError when the daemon has no tracer */
export function requireTracer(tracer: Tracer | null): Tracer {
  if (tracer === null)
    throw brokerError('DowngradeRefused', 'no-tracer', 'this daemon does not take capabilities from other processes');
  return tracer;
}

/**
 * Carries out the downgrade that is part of an Open. It is recorded before and after, because it stays when the Open fails later.
 * @throws BrokerError
 */
export async function downgradeForOpen(
  context: DowngradeContext,
  client: Client,
  lane: LaneUser,
  downgrade: ProcessDowngrade,
): Promise<DowngradedProcess> {
  const facts = { targets: [processFacts(downgrade.target)], ...orderFacts(downgrade.order) };
  context.record(client.subject, { action: 'downgrade', verdict: 'allow', ...facts });
  const process = await client.withSocket(lane, (socket) =>
    downgradeProcess(context, client.subject, lane, socket, downgrade),
  );
  recordDowngraded(context, client.subject, process);
  return process;
}

/**
 * @param context records a reply that comes too late for the request
 * @param lane of the client; read once for the request
 * @param socket the client's, for the tracer; stays the caller's, as `target.fd` does
 * @throws BrokerError DowngradeFailed when some threads were changed; any other error: nothing was changed
 */
export async function downgradeProcess(
  context: AuditTrail & { readonly dependencies: Pick<DowngradeContext['dependencies'], 'subordinateUids'> },
  subject: Subject,
  lane: LaneUser,
  socket: Fd,
  { tracer, target, order }: ProcessDowngrade,
): Promise<DowngradedProcess> {
  const { subordinateUids } = context.dependencies;
  const turn = { user: lane, scope: lockScopeOf(target, [], subordinateUids) };
  const request = { ...order, expected: target.process };
  const onLate = (reply: DowngradeReply): void => {
    if (!order.dryRun) recordLate(context, subject, target, reply);
  };
  const reply = await tracer.downgrade(turn, request, socket, target.fd, onLate);
  if (reply.status === 'downgraded') return processJson(target, reply);
  throw refusal(reply, target, order, subject);
}

/** @throws AuditFailed */
export function recordDowngraded(
  audit: AuditTrail,
  subject: Subject,
  { pid, threads, stoppedMicroseconds }: DowngradedProcess,
): void {
  audit.record(subject, {
    action: 'downgraded',
    verdict: 'allow',
    pid,
    threads: threads.length,
    stoppedMicroseconds,
  });
}

/** Records the outcome for the target in the audit log: the caller already got the error that the request is late. */
function recordLate(
  audit: AuditTrail,
  subject: Subject,
  { process: { pid } }: ProcessTarget,
  { status, threads }: DowngradeReply,
): void {
  audit.recordIfPossible(subject, {
    action: 'downgraded',
    verdict: status === 'downgraded' ? 'allow' : 'error',
    pid,
    threads: threads.length,
    ...(status === 'downgraded' ? {} : { error: status }),
    late: true,
  });
}

/** The error for a reply other than `downgraded`. Every status has one. */
function refusal(reply: DowngradeReply, target: ProcessTarget, order: DowngradeOrder, subject: Subject): BrokerError {
  const { pid } = target.process;
  const who = `process ${pid}`;
  const thread = reply.tid === 0 || reply.tid === pid ? who : `thread ${reply.tid} of ${who}`;
  switch (reply.status) {
    case 'refused': {
      const code = REFUSALS[reply.detail] ?? 'none';
      if (code === 'none') break;
      return brokerError('DowngradeRefused', code, `${thread} cannot be downgraded (${code})`);
    }
    case 'failed':
      return partial(reply, target, order);
    case 'deadline':
      return brokerError('DowngradeRefused', 'deadline', `${thread} did not stop within ${order.deadline} ms`);
    case 'too-many-threads':
      return brokerError('DowngradeRefused', 'too-many-threads', `${who} has more than ${MAX_THREADS} threads`);
    case 'not-same-user': {
      const obstacles = accessObstacles(mismatchNames(reply.detail), subject, target).join(', ');
      const text = `${who} does not belong to the caller, and the caller is not root of the host (${obstacles})`;
      return brokerError('DowngradeRefused', 'not-same-user', text);
    }
    case 'system-error':
      return brokerError(
        'DowngradeRefused',
        'system-error',
        `${thread}: a system call of the tracer failed with ${errnoName(reply.detail)}`,
        {
          errno: reply.detail,
        },
      );
    case 'target-gone':
      return brokerError('TargetGone', 'exited', `${who} ended in the meantime`);
    case 'target-changed':
      return targetChanged(who, mismatchNames(reply.detail));
    case 'bad-target':
      return brokerError('InvalidTarget', 'not-a-pidfd', `the tracer does not accept the fd of ${who}`);
    case 'bad-client':
      return boundSocket('tracer');
    case 'ready':
    case 'downgraded':
      break;
  }
  return brokerError('Unavailable', 'internal', `the tracer answered ${reply.status}`);
}

function partial(reply: DowngradeReply, target: ProcessTarget, order: DowngradeOrder): BrokerError {
  const kept = reply.threads.filter((result) => keepsRights(result, order));
  const names = kept.slice(0, MAX_NAMED).map((result) => `${result.tid}`);
  const more = kept.length > MAX_NAMED ? ` and ${kept.length - MAX_NAMED} more` : '';
  const text = `some threads of process ${target.process.pid} kept rights: ${names.join(', ')}${more}`;
  return brokerError('DowngradeFailed', 'partial', text, {
    errno: kept.find(({ error }) => error !== 0)?.error ?? 0,
    details: { processes: [processJson(target, reply)] },
  });
}

function keepsRights({ has, noNewPrivs }: ThreadResult, order: DowngradeOrder): boolean {
  const held = has.inheritable | has.permitted | has.effective | has.ambient;
  return (held & order.drop) !== 0n || (order.noNewPrivs && !noNewPrivs);
}

function processJson({ process }: ProcessTarget, reply: DowngradeReply): DowngradedProcess {
  return {
    pid: process.pid,
    executable: process.executable,
    stoppedMicroseconds: reply.stoppedMicroseconds,
    threads: reply.threads.map(({ tid, error, noNewPrivs, had, has }) => ({
      tid,
      name: threadName(process.pid, tid),
      errno: error,
      noNewPrivs,
      had: setsJson(had),
      has: setsJson(has),
    })),
  };
}

function setsJson(sets: CapabilitySets): CapabilitySetsJson {
  const hexadecimal = (bits: bigint): string => bits.toString(16).padStart(16, '0');
  return {
    inheritable: hexadecimal(sets.inheritable),
    permitted: hexadecimal(sets.permitted),
    effective: hexadecimal(sets.effective),
    bounding: hexadecimal(sets.bounding),
    ambient: hexadecimal(sets.ambient),
  };
}

/** Empty for a thread that has ended. */
function threadName(pid: number, tid: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').replace(/\n$/, '');
  } catch {
    return '';
  }
}

/** The number itself for what is not an errno. */
function errnoName(errno: number): string {
  return errno > 0 && errno < 4096 ? getSystemErrorName(-errno) : `errno ${errno}`;
}
