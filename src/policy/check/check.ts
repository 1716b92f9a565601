import { existsSync } from 'node:fs';
import { PolicyError, formatProblem } from '../error.js';
import { describeLimits } from '../load/limits.js';
import type { FindObstacle } from './broker_access.js';
import { lintPolicy } from './lint.js';
import { dropInDirectoryOf, readSources } from '../load/load.js';
import { systemNames, type NameResolver } from '../load/names.js';
import { parsePolicy } from '../load/parse.js';
import { describeRule } from './summary.js';

/** Output of `perfbroker policy check FILE`; every text is one line. */
export interface PolicyCheck {
  /** True when the broker would load the policy: no errors, and no warning about the owner or mode of a file. */
  readonly ok: boolean;
  /** Files in the order in which they were read. */
  readonly sources: readonly string[];
  /** Rules in the order in which they are tried, with their limits. Empty when there are errors. */
  readonly summary: readonly string[];
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Checks a policy file and its drop-ins with the code of the broker, without a running broker. Unlike the broker, it also reads
 * files that other users than root may write, or that the broker's user cannot read, with a warning; so it can check a draft.
 * @param findObstacle absent: the broker's user reads every file
 * @throws nothing about the policy itself
 */
export function checkPolicyFile(
  path: string,
  names: NameResolver = systemNames,
  findObstacle: FindObstacle = () => undefined,
): PolicyCheck {
  const seen: { sources: readonly string[]; warnings: string[] } = { sources: [path], warnings: [] };
  try {
    const { sources, distrusted } = readSources({ path, missing: 'error' }, 'tell');
    seen.sources = sources.map(({ file }) => file);
    const directory = dropInDirectoryOf(path);
    const read = [...seen.sources, ...(existsSync(directory) ? [directory] : [])];
    const refused = [...distrusted, ...read.flatMap((each) => findObstacle(each) ?? [])].map(formatProblem);
    // A directory that is an obstacle is one for every file below it.
    seen.warnings = [...new Set(refused)].map((problem) => `the broker would refuse ${problem}`);
    const policy = parsePolicy(sources, names);
    return {
      ok: refused.length === 0,
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
