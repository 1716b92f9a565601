import test from 'ava';
import type { OpenerReply, OpenerSlot } from '#dist/broker/ipc/opener_protocol.js';
import { refusal, type RefusalFacts } from '#dist/broker/methods/open/refusal.js';
import type { PinnedTarget } from '#dist/broker/processes/targets.js';
import type { BrokerError } from '#dist/model/errors/errors.js';
import type { EventSource } from '#dist/model/event.js';
import type { Subject } from '#dist/model/identity/subject.js';
import { peerOf, specOf } from '../fakes.js';

const ESRCH = 3;
const EPERM = 1;
const ENOENT = 2;
const ENODEV = 19;
const target = { kind: 'process', process: { pid: 10, sameUserNamespace: true } } as unknown as PinnedTarget;
const CLOCK: EventSource = { kind: 'software', name: 'cpu-clock' };
const slot = (cpu: number): OpenerSlot => ({ tid: 10, cpu, event: 0, leader: 0, premap: false });

interface Given {
  readonly source?: EventSource;
  readonly subject?: Subject;
}

function errorOf(reply: Partial<OpenerReply>, { source = CLOCK, subject = peerOf().subject }: Given = {}): BrokerError {
  const specs = [specOf(source)];
  const host = { paranoid: 2, capability: 'CAP_PERFMON', onlineCpus: () => [0] };
  const facts: RefusalFacts = { subject, request: { specs, ringPages: 1 }, host };
  const whole: OpenerReply = { serial: 1, status: 'open-failed', detail: 0, fdCount: 0, slotErrnos: [], ...reply };
  return refusal(whole, target, [slot(-1), slot(0), slot(1)], facts) as BrokerError;
}

const explanation = (error: BrokerError): string => JSON.stringify(error);

test('a cpu that went offline is named, and the error does not mention a missing PMU', (t) => {
  const error = errorOf({ slotErrnos: [0, 0, ENODEV] });
  t.like(error, { error: 'KernelRefused', code: 'ENODEV' });
  t.regex(explanation(error), /Cpu 1 went offline/);
  t.notRegex(explanation(error), /PMU|cpu-clock such as/);
});

test('ENODEV of a cpu that is online, or of no cpu, is about the event', (t) => {
  for (const slotErrnos of [
    [ENODEV, 0, 0],
    [0, ENODEV, 0],
  ])
    t.notRegex(explanation(errorOf({ slotErrnos })), /offline/);
});

test('a refusal is explained by the kind of event that was refused', (t) => {
  const of = (source: EventSource, errno: number): string =>
    explanation(errorOf({ slotErrnos: [errno, 0, 0] }, { source }));
  t.regex(of(CLOCK, ENOENT), /older than the software event/);
  t.regex(of({ kind: 'tracepoint', name: 'sched:sched_switch' }, ENOENT), /module was unloaded/);
  t.regex(of({ kind: 'tracepoint', name: 'sched:sched_switch' }, EPERM), /raw tracepoint data/);
  t.regex(of({ kind: 'hardware', name: 'cpu-cycles' }, ENOENT), /Missing PMU/);
});

test('the error is that of a slot that failed, not of one whose thread has ended', (t) => {
  t.is(errorOf({ slotErrnos: [ESRCH, EPERM, 0] }).code, 'EPERM');
});

const CAPABILITIES = 1 << 3;
const NAMESPACE = 1 << 5;

test('the error for a client that is not dumpable says so, and does not mention user namespaces or capabilities', (t) => {
  const { subject } = peerOf({ dumpable: false });
  const error = errorOf({ status: 'not-same-user', detail: NAMESPACE | CAPABILITIES }, { subject });
  t.like(error, { error: 'CeilingExceeded', code: 'other-users' });
  t.regex(error.message, /\(the caller is not dumpable\)/);
});

test('every answer of the opener has an error', (t) => {
  const expected = {
    ceiling: 'CeilingExceeded user',
    'not-same-user': 'CeilingExceeded other-users',
    'target-gone': 'TargetGone exited',
    'target-changed': 'TargetChanged uid',
    'bad-target': 'InvalidTarget not-a-pidfd',
    'map-failed': 'KernelRefused ENOENT',
    'bad-client': 'InvalidTarget bound-socket',
    released: 'Unavailable internal',
  } as const;
  for (const [status, said] of Object.entries(expected)) {
    const detail = status === 'ceiling' ? 1 : ENOENT;
    const error = errorOf({ status: status as keyof typeof expected, detail });
    t.is(`${error.error} ${error.code}`, said);
  }
});
