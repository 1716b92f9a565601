import { PolicyError, formatProblem } from '../error.js';
import { describeLimits } from '../load/limits.js';
import { lintPolicy } from './lint.js';
import { readSources } from '../load/load.js';
import { systemNames, type NameResolver } from '../load/names.js';
import { parsePolicy } from '../load/parse.js';
import { describeRule } from './summary.js';

/** What `perfbroker policy check FILE` prints; every text is one line. */
export interface PolicyCheck {
  /** Would the broker take it? Warnings that the broker would refuse a file for its owner or mode make it false. */
  readonly ok: boolean;
  /** Files, in the order in which they were read. */
  readonly sources: readonly string[];
  /** The rules in the order in which they are tried, and what limits hold. Empty when there are errors. */
  readonly summary: readonly string[];
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Checks a policy file together with its drop-ins, by the code that the broker runs, and without a broker. Unlike the broker
 * it reads files that others than root may write, and says that the broker would refuse them; so it can check a draft.
 * @throws nothing that has to do with the policy
 */
export function checkPolicyFile(path: string, names: NameResolver = systemNames): PolicyCheck {
  const seen: { sources: readonly string[]; warnings: string[] } = { sources: [path], warnings: [] };
  try {
    const { sources, distrusted } = readSources({ path, missing: 'error' }, 'tell');
    seen.sources = sources.map(({ file }) => file);
    seen.warnings = distrusted.map((problem) => `the broker would refuse ${formatProblem(problem)}`);
    const policy = parsePolicy(sources, names);
    return {
      ok: distrusted.length === 0,
      sources: seen.sources,
      summary: policy.rules.flatMap((rule) => [
        describeRule(rule),
        ...(rule.verdict === 'deny' ? [] : [`  up to ${describeLimits(rule.limits)}`]),
      ]),
      errors: [],
      warnings: [...seen.warnings, ...policy.warnings, ...lintPolicy(policy)],
    };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return {
      ok: false,
      sources: seen.sources,
      summary: [],
      errors: error.problems.map(formatProblem),
      warnings: seen.warnings,
    };
  }
}
