/** Requests and policies in few words, for the tests of policy. */
import type { EventSpec } from '#dist/model/event.js';
import type { Subject } from '#dist/model/identity/subject.js';
import type { ProcessIdentity, Target } from '#dist/model/identity/target.js';
import type { NameResolver } from '#dist/policy/load/names.js';
import { parsePolicy } from '#dist/policy/load/parse.js';
import type { Policy, PolicyRequest } from '#dist/policy/types.js';
import { EVENT_CLASSES } from '#dist/model/event.js';
import { flagFields } from '#dist/model/event_flags.js';

export const names: NameResolver = {
  user: (name) =>
    new Map([
      ['root', 0],
      ['alice', 1000],
      ['bob', 1001],
    ]).get(name),
  group: (name) =>
    new Map([
      ['root', 0],
      ['perfbroker', 990],
      ['ops', 991],
    ]).get(name),
};

export function policyOf(...texts: string[]): Policy {
  return parsePolicy(
    texts.map((text, index) => ({ file: index === 0 ? 'policy.toml' : `policy.d/${index}.toml`, text })),
    names,
  );
}

export const ADMINISTRATOR_CAPABILITIES: bigint = (1n << 41n) - 1n;

export function subject(changes: Partial<Subject> = {}): Subject {
  return {
    pid: 500,
    startTime: 1n,
    uid: 1000,
    gid: 1000,
    groups: [1000],
    permitted: 0n,
    sameUserNamespace: true,
    mayBeMany: false,
    asConnected: true,
    ownIds: true,
    dumpable: true,
    cgroup: '/user.slice/user-1000.slice/session-1.scope',
    executable: '[collector]',
    ...changes,
  };
}

export const member: Subject = subject({ groups: [1000, 990] });
export const administrator: Subject = subject({ uid: 0, gid: 0, groups: [0], permitted: ADMINISTRATOR_CAPABILITIES });

export function process(changes: Partial<ProcessIdentity> = {}): Target {
  return {
    kind: 'process',
    threads: 'all',
    process: {
      pid: 600,
      startTime: 2n,
      uids: [1000, 1000, 1000],
      gids: [1000, 1000, 1000],
      permitted: 0n,
      dumpable: true,
      sameUserNamespace: true,
      executable: '/usr/bin/work',
      cgroup: '/user.slice/user-1000.slice/session-1.scope',
      ...changes,
    },
  };
}

/** A process of another user. */
export function foreign(changes: Partial<ProcessIdentity> = {}): Target {
  return process({ uids: [1001, 1001, 1001], gids: [1001, 1001, 1001], ...changes });
}

export const system: Target = { kind: 'system' };

export function cgroup(path: string): Target {
  return { kind: 'cgroup', path };
}

/** cpu-clock at 99 Hz, user mode. */
export function event(changes: Partial<EventSpec> = {}): EventSpec {
  return {
    source: { kind: 'software', name: 'cpu-clock' },
    exclude: ['kernel', 'hv'],
    sampling: { frequency: 99 },
    sampleType: ['ip', 'tid'],
    readFormat: [],
    records: [],
    ...flagFields(() => false),
    preciseIp: 0,
    branch: [],
    ...changes,
  };
}

/** task-clock, user mode, counting. */
export function counter(): EventSpec {
  const spec: { -readonly [Field in keyof EventSpec]: EventSpec[Field] } = event({
    source: { kind: 'software', name: 'task-clock' },
  });
  delete spec.sampling;
  return spec;
}

export const kernelEvent: EventSpec = event({ exclude: [] });
export const tracepoint: EventSpec = event({
  source: { kind: 'tracepoint', name: 'sched:sched_switch' },
  sampling: { period: 1n },
});

export function request(changes: Partial<PolicyRequest> = {}): PolicyRequest {
  return {
    subject: subject(),
    targets: [process()],
    events: [event()],
    ceiling: EVENT_CLASSES,
    ringBytes: 0,
    fds: 1,
    ...changes,
  };
}
