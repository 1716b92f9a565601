/** One process's downgrade: what is asked for, the tracer's answer, and the words for both. */
import { didYouMean } from '../../../common/nearest.js';
import { quote } from '../../../common/quote.js';
import { readFileSync } from 'node:fs';
import { brokerError } from '../../../model/errors/error_table.js';
import type { BrokerError } from '../../../model/errors/errors.js';
import { capabilityBits, capabilityNames, nearestCapability } from '../../../model/identity/capabilities.js';
import { isAdministrator, type Subject } from '../../../model/identity/subject.js';
import type { Fd } from '../../../native.js';
import type { CapabilitySets as CapabilitySetsJson, DowngradedProcess } from '../../../interfaces/broker_types.js';
import { lockScopeOf } from '../../processes/lock_scope.js';
import type { DowngradeCaller } from '../../processes/caller.js';
import { mismatchNames } from '../../ipc/opener_protocol.js';
import { targetChanged, type ProcessTarget } from '../../processes/targets.js';
import type { DowngradeReply, TracerClient } from '../../ipc/tracer.js';
import {
  MAX_DEADLINE,
  MAX_THREADS,
  REFUSALS,
  type CapabilitySets,
  type ThreadResult,
} from '../../ipc/tracer_protocol.js';

/** What is taken, of whichever process. */
export interface DowngradeOrder {
  /** Capability bits. */
  readonly drop: bigint;
  readonly noNewPrivs: boolean;
  readonly dryRun: boolean;
  /** Milliseconds. */
  readonly deadline: number;
}

/**
 * By default a target stands still no longer than this before its first thread is changed, milliseconds; and at most, but for an
 * administrator: a user who starves its own target occupies a worker of the tracer for as long.
 */
const DEFAULT_DEADLINE = 100;
/** Threads named in a message. */
const MAX_NAMED = 8;

interface OrderParameters {
  readonly drop: readonly string[];
  readonly noNewPrivs?: boolean;
  readonly dryRun?: boolean;
  readonly deadlineMs?: number;
}

export function parseOrder(parameters: OrderParameters, subject: Subject): DowngradeOrder {
  const { noNewPrivs = false, dryRun = false, deadlineMs = DEFAULT_DEADLINE } = parameters;
  let drop = 0n;
  for (const name of parameters.drop) {
    const bits = capabilityBits(name);
    if (bits === undefined) throw unknownCapability(name);
    drop |= bits;
  }
  if (drop === 0n && !noNewPrivs)
    throw brokerError('DowngradeRefused', 'nothing-asked', 'the request names no capability');
  const longest = isAdministrator(subject) ? MAX_DEADLINE : DEFAULT_DEADLINE;
  if (deadlineMs < 1 || deadlineMs > longest)
    throw brokerError(
      'InvalidTarget',
      'bad-value',
      `deadlineMs is ${deadlineMs}; 1 to ${longest} are possible for ${isAdministrator(subject) ? 'an administrator' : 'users other than an administrator'}`,
    );
  return { drop, noNewPrivs, dryRun, deadline: deadlineMs };
}

function unknownCapability(name: string): BrokerError {
  const hint = didYouMean(nearestCapability(name));
  return brokerError('DowngradeRefused', 'unknown-capability', `there is no capability ${quote(name, 64)}${hint}`);
}

/** For the audit log. */
export function orderFacts({ drop, noNewPrivs, dryRun }: DowngradeOrder): Record<string, unknown> {
  const all = capabilityNames(drop);
  return { drop: all.length === 64 ? ['all'] : all, noNewPrivs, ...(dryRun ? { dryRun } : {}) };
}

/** For a human: `take CAP_PERFMON,CAP_SYS_ADMIN, set no_new_privs`. */
export function orderText({ drop, noNewPrivs, dryRun }: DowngradeOrder): string {
  const all = capabilityNames(drop);
  const taken = all.length === 64 ? 'all capabilities' : all.join(',');
  const parts = [taken === '' ? '' : `take ${taken}`, noNewPrivs ? 'set no_new_privs' : '', dryRun ? 'dry run' : ''];
  return parts.filter((part) => part !== '').join(', ');
}

/** The tracer, or why there is none. */
export function requireTracer(tracer: TracerClient | null): TracerClient {
  if (tracer === null)
    throw brokerError('DowngradeRefused', 'no-tracer', 'this daemon takes no capabilities from other processes');
  return tracer;
}

/**
 * @param caller whose turn it takes
 * @param connection the client's socket; stays the caller's, as `target.fd`
 * @throws BrokerError DowngradeRefused and others: nothing was changed; DowngradeFailed: something was
 */
export async function downgradeProcess(
  tracer: TracerClient,
  { user, users, record }: DowngradeCaller,
  connection: Fd,
  target: ProcessTarget,
  order: DowngradeOrder,
): Promise<DowngradedProcess> {
  const request = { ...order, expected: target.process };
  // The caller got the error that it is late. The audit log says what became of the target.
  const onLate = ({ status, threads }: DowngradeReply): void => {
    if (order.dryRun) return;
    record({
      action: 'downgraded',
      verdict: status === 'downgraded' ? 'allow' : 'error',
      pid: target.process.pid,
      threads: threads.length,
      ...(status === 'downgraded' ? {} : { error: status }),
      late: true,
    });
  };
  const turn = { user, scope: lockScopeOf(target, [], users) };
  const reply = await tracer.downgrade(turn, request, connection, target.fd, onLate);
  if (reply.status === 'downgraded') return processJson(target, reply);
  throw refusal(reply, target, order);
}

/** The error for an answer that is not `downgraded`; every status has one. */
function refusal(reply: DowngradeReply, target: ProcessTarget, order: DowngradeOrder): BrokerError {
  const { pid } = target.process;
  const who = `process ${pid}`;
  const thread = reply.tid === 0 || reply.tid === pid ? who : `thread ${reply.tid} of ${who}`;
  const mismatch = mismatchNames(reply.detail);
  switch (reply.status) {
    case 'refused': {
      const code = REFUSALS[reply.detail] ?? 'none';
      if (code === 'none') break;
      return brokerError('DowngradeRefused', code, `${thread} can not be downgraded (${code})`);
    }
    case 'failed': {
      const kept = reply.threads.filter((result) => keepsSomething(result, order));
      const names = kept.slice(0, MAX_NAMED).map((result) => `${result.tid}`);
      const more = kept.length > MAX_NAMED ? ` and ${kept.length - MAX_NAMED} more` : '';
      return brokerError(
        'DowngradeFailed',
        'partial',
        `of ${who} some threads kept something: ${names.join(', ')}${more}`,
        {
          errno: kept.find(({ error }) => error !== 0)?.error ?? 0,
          details: { processes: [processJson(target, reply)] },
        },
      );
    }
    case 'deadline':
      return brokerError('DowngradeRefused', 'deadline', `${thread} did not stop within ${order.deadline} ms`);
    case 'too-many-threads':
      return brokerError('DowngradeRefused', 'too-many-threads', `${who} has more than ${MAX_THREADS} threads`);
    case 'not-same-user':
      return brokerError(
        'DowngradeRefused',
        'not-same-user',
        `${who} is not the caller's own, nor is the caller root of the host (${mismatch.join(', ')})`,
      );
    case 'system-error':
      return brokerError('DowngradeRefused', 'system-error', `${thread}: errno ${reply.detail}`, {
        errno: reply.detail,
      });
    case 'target-gone':
      return brokerError('TargetGone', 'exited', `${who} ended meanwhile`);
    case 'target-changed':
      return targetChanged(who, mismatch);
    case 'bad-target':
      return brokerError('InvalidTarget', 'not-a-pidfd', `the tracer does not accept the fd of ${who}`);
    case 'bad-client':
    case 'ready':
    case 'downgraded':
      break;
  }
  return brokerError('Unavailable', 'internal', `the tracer answered ${reply.status}`);
}

function keepsSomething({ has, noNewPrivs }: ThreadResult, order: DowngradeOrder): boolean {
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
