/** What is wrong at one place of a policy file. */
export interface PolicyProblem {
  readonly file: string;
  /** From 1; absent when the file as a whole is meant (its owner, say). */
  readonly line?: number;
  readonly column?: number;
  /** Dotted, as in TOML: `rule.subjects.users`. */
  readonly key?: string;
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** `policy.toml:12:3: rule.verdict: "permit" is no verdict. Write one of allow, deny, ask.` */
export function formatProblem({ file, line, column, key, message, remedy }: PolicyProblem): string {
  const place = [file, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':');
  return `${place}: ${key === undefined ? '' : `${key}: `}${message}. ${remedy}`;
}

/** A policy that must not come into force. Names the first problem; `problems` holds all that were found. */
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
