/** Problem at one place of a policy file. */
export interface PolicyProblem {
  readonly file: string;
  /** From 1; absent for a problem of the whole file, such as its owner. */
  readonly line?: number;
  readonly column?: number;
  /** Dotted, as in TOML: `rule.subjects.users`. */
  readonly key?: string;
  readonly message: string;
  /** Steps for the administrator, as sentences. */
  readonly remedy: string;
}

/** `policy.toml:12:3: rule.verdict: the text "permit" is not a verdict. Allowed: allow, deny, ask.` */
export function formatProblem({ file, line, column, key, message, remedy }: PolicyProblem): string {
  const place = [file, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':');
  return `${place}: ${key === undefined ? '' : `${key}: `}${message}. ${remedy}`;
}

/** A policy with problems, which must not come into force. The message has the first one, `problems` has all of them. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly key?: string;
  readonly remedy: string;
  readonly problems: readonly PolicyProblem[];

  constructor(first: PolicyProblem, ...others: readonly PolicyProblem[]) {
    const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
    super(`${formatProblem(first)}${more}`);
    this.file = first.file;
    if (first.line !== undefined) this.line = first.line;
    if (first.column !== undefined) this.column = first.column;
    if (first.key !== undefined) this.key = first.key;
    this.remedy = first.remedy;
    this.problems = [first, ...others];
  }
}
