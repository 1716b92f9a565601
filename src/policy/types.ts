import type { EventClass, EventSpec } from '../model/event.js';
import type { AccessObstacle } from '../model/identity/access.js';
import type { Subject } from '../model/identity/subject.js';
import type { ProcessIdentity, Target } from '../model/identity/target.js';

/** Limits of one subject. Every field has a value: the parser fills them from [limits] or the built-in defaults. */
export interface Limits {
  /** Highest sampling frequency, Hz. It also limits the period of events that count a clock (see limit_check.ts). */
  readonly frequency: number;
  /** Shortest period of the other events. */
  readonly minPeriod: number;
  /** Ring bytes of all live grants of the uid. */
  readonly ringBytes: number;
  /** Event fds of all live grants of the uid. */
  readonly fds: number;
  /** Live grants of the uid. */
  readonly grants: number;
  /** Seconds until a grant ends by itself; 0: no end. */
  readonly leaseSeconds: number;
  /** Bytes of user stack per sample. */
  readonly stackBytes: number;
}

/** Limits that hold before a request is parsed, for each uid unless noted otherwise. */
export interface ServiceLimits {
  readonly requestsPerSecond: number;
  /** Requests at once after an idle time. */
  readonly burst: number;
  /** Connections at a time. */
  readonly connections: number;
  /** Seconds without any connection until a broker that was started by its socket exits; 0: never. */
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
  /** `file:line`, for messages. */
  readonly where: string;
  readonly verdict: RuleVerdict;
  readonly subjects: RuleSubjects;
  readonly targets: RuleTargets;
  readonly classes: readonly EventClass[];
  readonly counting: boolean;
  readonly sampling: boolean;
  /** Capabilities may be taken from the targets. decideDowngrade uses no class and no limit. */
  readonly downgrade: boolean;
  readonly limits: Limits;
}

export interface Policy {
  /** Files it was read from, in order; `['built-in default']` for the embedded one. */
  readonly sources: readonly string[];
  /** First match wins. */
  readonly rules: readonly Rule[];
  readonly service: ServiceLimits;
  /** Texts for the log when the policy comes into force. They do not prevent it. */
  readonly warnings: readonly string[];
}

/** Request of a subject, parsed and vetted. */
export interface PolicyRequest {
  readonly subject: Subject;
  readonly targets: readonly Target[];
  readonly events: readonly EventSpec[];
  /** Classes that the ceiling of this daemon includes. */
  readonly ceiling: readonly EventClass[];
  readonly ringBytes: number;
  readonly fds: number;
  readonly leaseSeconds?: number;
}

/** Processes from which a subject wants to take capabilities. */
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

/** Rule that allows a request, within these limits. */
interface Passed {
  readonly rule: string;
  readonly where: string;
  readonly limits: Limits;
  readonly classes: readonly EventClass[];
}

export type Verdict =
  | (Passed & { readonly kind: 'allow' })
  /** The request needs authorization by polkit. The reasons explain why no earlier rule allows it without. */
  | (Passed & { readonly kind: 'ask'; readonly reasons: readonly Reason[] })
  | {
      readonly kind: 'deny';
      readonly rule?: string;
      readonly where?: string;
      readonly reasons: readonly Reason[];
      readonly classes: readonly EventClass[];
    };
