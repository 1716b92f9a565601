/** Errors of the interface. The table in error_table.ts has cause and remedy of each code. */
export const ERROR_NAMES = [
  'PolicyDenied',
  'CeilingExceeded',
  'InvalidEvent',
  'InvalidTarget',
  'TargetGone',
  'TargetChanged',
  'QuotaExceeded',
  'RateLimited',
  'KernelRefused',
  'DowngradeRefused',
  'DowngradeFailed',
  'NoSuchGrant',
  'UnexpectedFds',
  'AuditFailed',
  'Unavailable',
] as const;
export type ErrorName = (typeof ERROR_NAMES)[number];

/** Error that is thrown inside the broker, sent as `org.perfbroker.Broker.<name>`, rebuilt by the client library. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  /** Stable code within the name, e.g. `no-rule`, `frequency`, `EMFILE`; each is listed in docs/errors.md. */
  readonly code: string;
  readonly error: ErrorName;
  /** The kernel's errno, positive; 0 when there was none. */
  readonly errno: number;
  /** Cause, in one sentence: the wire's `cause`. Not named `cause`, which JavaScript keeps for another error. */
  readonly explanation: string;
  readonly remedy: string;
  /** Further fields of the error's parameters (`reasons` of PolicyDenied, `processes` of DowngradeFailed). */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    error: ErrorName,
    code: string,
    message: string,
    options: { errno?: number; cause: string; remedy: string; details?: Readonly<Record<string, unknown>> },
  ) {
    super(message);
    this.error = error;
    this.code = code;
    this.errno = options.errno ?? 0;
    this.explanation = options.cause;
    this.remedy = options.remedy;
    this.details = options.details ?? {};
  }
}
