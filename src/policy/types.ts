import type { EventClass, EventSpec } from '../model/event.js';
import type { AccessObstacle } from '../model/identity/access.js';
import type { Subject } from '../model/identity/subject.js';
import type { ProcessIdentity, Target } from '../model/identity/target.js';

/** Ceilings on one subject; `undefined` never means unlimited: the parser fills every field from [limits] or the built-in defaults. */
export interface Limits {
  /** Highest sampling frequency, Hz; a period is refused when it is smaller than what this frequency would need on the event's fastest clock (cpu-clock, task-clock: ns), and for other events held to `minPeriod`. */
  readonly frequency: number;
  readonly minPeriod: number;
  /** Bytes of ring over all live grants of the uid. */
  readonly ringBytes: number;
  /** Event fds over all live grants of the uid. */
  readonly fds: number;
  /** Live grants of the uid. */
  readonly grants: number;
  /** Seconds until a grant ends by itself; 0: no end. */
  readonly leaseSeconds: number;
  /** Bytes of user stack per sample. */
  readonly stackBytes: number;
}

/** What holds before any request is looked at; for each uid, where nothing else is said. */
export interface ServiceLimits {
  readonly requestsPerSecond: number;
  /** Requests at once, after a quiet time. */
  readonly burst: number;
  /** Connections at a time. */
  readonly connections: number;
  /** Of all users: seconds without a connection until a broker that was started by its socket ends; 0: it stays. */
  readonly idleExitSeconds: number;
}

export type RuleVerdict = 'allow' | 'deny' | 'ask';

export interface RuleSubjects {
  readonly everyone: boolean;
  readonly administrator: boolean;
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly units: readonly string[]; // exact, or with a trailing *
}

export interface RuleTargets {
  readonly sameUser: boolean;
  readonly anyUser: boolean;
  readonly uids: readonly number[];
  readonly units: readonly string[];
  readonly cgroups: readonly string[]; // path prefixes, whole components
  readonly executables: readonly string[]; // absolute paths
  readonly system: boolean;
  readonly anyCgroup: boolean;
}

export interface Rule {
  readonly name: string;
  /** file:line for messages. */
  readonly where: string;
  readonly verdict: RuleVerdict;
  readonly subjects: RuleSubjects;
  readonly targets: RuleTargets;
  readonly classes: readonly EventClass[];
  readonly counting: boolean;
  readonly sampling: boolean;
  /** Taking capabilities from the targets; decided by decideDowngrade, for which classes and limits mean nothing. */
  readonly downgrade: boolean;
  readonly limits: Limits;
}

export interface Policy {
  /** Files it was read from, in order; `['built-in default']` for the embedded one. */
  readonly sources: readonly string[];
  /** First match wins. */
  readonly rules: readonly Rule[];
  readonly service: ServiceLimits;
  /** What an administrator should know and what keeps nothing from working; to be logged when the policy comes into force. */
  readonly warnings: readonly string[];
}

/** What a subject asks for, after parsing and vetting. */
export interface PolicyRequest {
  readonly subject: Subject;
  readonly targets: readonly Target[];
  readonly events: readonly EventSpec[];
  /** Classes that the ceiling leaves open in this daemon. */
  readonly ceiling: readonly EventClass[];
  readonly ringBytes: number;
  readonly fds: number;
  readonly leaseSeconds?: number;
}

/** Whose capabilities a subject wants to take. */
export interface DowngradeRequest {
  readonly subject: Subject;
  readonly processes: readonly ProcessIdentity[];
}

/** Code of a reason: those of PolicyDenied that a decision can have. */
export type ReasonCode =
  'no-rule' | 'denied' | 'subject' | 'target' | 'class' | 'mode' | 'limit' | 'access' | AccessObstacle;

interface ReasonText {
  readonly text: string;
  /** Remedy for this caller and this request; absent: the one of the table of errors. */
  readonly remedy?: string;
}

export type Reason =
  | (ReasonText & { readonly code: 'ceiling'; readonly class: EventClass })
  | (ReasonText & { readonly code: ReasonCode; readonly rule?: string });

/** What a rule lets pass, within these limits. */
interface Passed {
  readonly rule: string;
  readonly where: string;
  readonly limits: Limits;
  readonly classes: readonly EventClass[];
}

export type Verdict =
  | (Passed & { readonly kind: 'allow' })
  /** A human has to agree; the reasons say why no earlier rule allows it without. */
  | (Passed & { readonly kind: 'ask'; readonly reasons: readonly Reason[] })
  | {
      readonly kind: 'deny';
      readonly rule?: string;
      readonly where?: string;
      readonly reasons: readonly Reason[];
      readonly classes: readonly EventClass[];
    };
