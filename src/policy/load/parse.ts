import { parse as parseToml, TomlError } from 'smol-toml';
import { EVENT_CLASSES, type EventClass } from '../../model/event.js';
import { deepFreeze } from '../../common/freeze.js';
import { PolicyError, type PolicyProblem } from '../error.js';
import { BUILT_IN_LIMITS, LIMIT_KEYS } from './limits.js';
import { systemNames, type NameResolver } from './names.js';
import { suggestion } from '../../common/nearest.js';
import { Positions, type TomlPath } from './positions.js';
import { readQuantities, type QuantityKey } from './quantities.js';
import { describe, isTable, Refusal, TableReader, type ReadContext } from './reader.js';
import { readSubjects, readTargets, readWord, SUBJECT_KEYS, TARGET_KEYS } from './selectors.js';
import { BUILT_IN_SERVICE, SERVICE_KEYS } from './service.js';
import type { Limits, Policy, Rule, RuleVerdict } from '../types.js';

/** One file of a policy. */
export interface PolicySource {
  /** For messages. */
  readonly file: string;
  readonly text: string;
  /** A missing group is a warning and has no members, instead of an error. For the built-in default only. */
  readonly lenientGroups?: boolean;
}

const RULE_KEYS = ['name', 'before', 'verdict', 'subjects', 'targets', 'classes', 'mode', 'limits'] as const;
const VERDICTS: readonly RuleVerdict[] = ['allow', 'deny', 'ask'];
const MODES = ['counting', 'sampling', 'downgrade'] as const;
/** Modes of a rule without `mode`. */
const DEFAULT_MODES: readonly (typeof MODES)[number][] = ['counting', 'sampling'];
const NAME = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/;

interface Document extends ReadContext {
  readonly top: TableReader;
  readonly source: PolicySource;
}

/**
 * Places of the rules read so far, by name. Rules with problems are included: another rule with the same name, or one that refers
 * to it, only reports its own problems.
 */
type NamedRules = Map<string, string>;

/** Rule without the default limits, and without its place in the order. */
interface Draft {
  readonly rule: Omit<Rule, 'limits'>;
  readonly limits: Partial<Limits>;
  readonly before: string | undefined;
}

/**
 * Parses TOML to a policy: validated, with every default filled in, frozen. Rules are in the order of files and lines, except for
 * those with `before`. Values in [limits] and [service] override those of earlier files, for all rules.
 * @throws PolicyError with all problems of all files
 */
export function parsePolicy(sources: readonly PolicySource[], names: NameResolver = systemNames): Policy {
  const problems: PolicyProblem[] = [];
  const warnings: string[] = [];
  const documents = sources
    .map((source) => openDocument(source, problems))
    .filter((document) => document !== undefined);
  let limits = BUILT_IN_LIMITS;
  let service = BUILT_IN_SERVICE;
  for (const { top } of documents) {
    limits = { ...limits, ...readTable(top, 'limits', LIMIT_KEYS) };
    service = { ...service, ...readTable(top, 'service', SERVICE_KEYS) };
  }
  const drafts: Draft[] = [];
  const named: NamedRules = new Map();
  for (const document of documents) {
    for (const draft of readRules(document, names, warnings, named)) insert(drafts, draft);
  }
  const [first, ...others] = problems;
  if (first !== undefined) throw new PolicyError(first, ...others);
  return deepFreeze({
    sources: sources.map(({ file }) => file),
    rules: drafts.map((draft) => ({ ...draft.rule, limits: { ...limits, ...draft.limits } })),
    service,
    warnings,
  });
}

function openDocument(source: PolicySource, problems: PolicyProblem[]): Document | undefined {
  const { file, text } = source;
  try {
    const top = parseToml(text, { unsafeKeyBehaviour: 'throw', maxDepth: 16 });
    const context = { file, positions: new Positions(text), problems };
    return { ...context, source, top: new TableReader(top, [], ['limits', 'service', 'rule'], context) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = (error.message.split('\n')[0] ?? '').replace('Invalid TOML document: ', '');
    problems.push({
      file,
      line: error.line,
      column: error.column,
      message: `is not TOML: ${message}`,
      remedy: 'Correct the syntax (https://toml.io); texts and names need quotes.',
    });
    return undefined;
  }
}

/** Values of a table of quantities; none without the table. */
function readTable<Values>(
  reader: TableReader,
  key: string,
  keys: Readonly<Record<string, QuantityKey<Values>>>,
): Partial<Record<keyof Values, number>> {
  const table = reader.has(key) ? reader.inner(key, Object.keys(keys)) : undefined;
  return table === undefined ? {} : readQuantities(table, keys);
}

function* readRules(document: Document, names: NameResolver, warnings: string[], named: NamedRules): Generator<Draft> {
  const { top } = document;
  const tables = top.get('rule') ?? [];
  if (!Array.isArray(tables)) {
    top.problem(['rule'], `must be an array of tables, not ${describe(tables)}`, 'Begin each rule with [[rule]].');
    return;
  }
  for (const [index, table] of (tables as readonly unknown[]).entries()) {
    const path: TomlPath = ['rule', index];
    if (!isTable(table)) {
      top.problem(path, `must be a table, not ${describe(table)}`, 'Begin each rule with [[rule]].');
      continue;
    }
    const reader = new TableReader(table, path, RULE_KEYS, document);
    const rule = readRule(reader, document.source, names, warnings, named);
    if (rule !== undefined) yield rule;
  }
}

/** @returns undefined for a table that is not a rule, after reporting its problems */
function readRule(
  reader: TableReader,
  { file, lenientGroups }: PolicySource,
  names: NameResolver,
  warnings: string[],
  named: NamedRules,
): Draft | undefined {
  const where = `${file}:${reader.context.positions.find(reader.path)?.line ?? 0}`;
  const name = readName(reader, 'name');
  const before = reader.has('before') ? readName(reader, 'before') : undefined;
  const verdict = readVerdict(reader);
  const warn = (group: string): void => {
    warnings.push(`${file}: there is no group "${group}": rule "${name ?? ''}" applies to no user through it`);
  };
  const subjects = readPart(reader, 'subjects', SUBJECT_KEYS);
  const targets = readPart(reader, 'targets', TARGET_KEYS);
  const modes = reader.has('mode')
    ? reader.list('mode', 'modes', (value) => readWord(value, MODES, 'mode'))
    : DEFAULT_MODES;
  // A rule that only allows downgrades needs no classes.
  const opensNothing = modes.length > 0 && modes.every((mode) => mode === 'downgrade');
  const classes = opensNothing && !reader.has('classes') ? [] : readClasses(reader, opensNothing);
  const limits = readRuleLimits(reader, verdict);
  // Read even if a part above is missing: all problems are reported at once.
  const ruleSubjects = subjects && readSubjects(subjects, names, lenientGroups === true ? warn : undefined);
  const ruleTargets = targets && readTargets(targets, names);
  if (before !== undefined) requireNamed(reader, before, named);
  if (name !== undefined) claim(reader, name, where, named);
  if (name === undefined || verdict === undefined || !ruleSubjects || !ruleTargets) return undefined;
  const rule = {
    name,
    where,
    verdict,
    subjects: ruleSubjects,
    targets: ruleTargets,
    classes,
    counting: modes.includes('counting'),
    sampling: modes.includes('sampling'),
    downgrade: modes.includes('downgrade'),
  };
  return { rule, limits, before };
}

function readName(reader: TableReader, key: 'name' | 'before'): string | undefined {
  if (!reader.required(key, 'Add name = "..." to the rule: decisions and the audit log refer to it by name.'))
    return undefined;
  const name = reader.get(key);
  if (typeof name === 'string' && NAME.test(name)) return name;
  reader.problem(
    [key],
    `${describe(name)} is not a name`,
    'Write 1 to 64 letters, digits, blanks, dots, dashes or underscores, and begin with a letter or a digit.',
  );
  return undefined;
}

function readVerdict(reader: TableReader): RuleVerdict | undefined {
  if (!reader.required('verdict', `Add verdict = "..." with one of ${VERDICTS.join(', ')}.`)) return undefined;
  const verdict = readWord(reader.get('verdict'), VERDICTS, 'verdict');
  if (!(verdict instanceof Refusal)) return verdict;
  reader.problem(['verdict'], verdict.message, verdict.remedy);
  return undefined;
}

/** Tables that every rule must have: a missing one never means every user or every target. */
function readPart(
  reader: TableReader,
  key: 'subjects' | 'targets',
  allowed: readonly string[],
): TableReader | undefined {
  return reader.required(key, `Add ${key} = { ... } with at least one of ${allowed.join(', ')}.`)
    ? reader.inner(key, allowed)
    : undefined;
}

function readClasses(reader: TableReader, mayBeAbsent: boolean): readonly EventClass[] {
  if (!reader.required('classes', `Add classes = [...] with some of ${EVENT_CLASSES.join(', ')}, or "all".`)) return [];
  if (reader.get('classes') === 'all') return EVENT_CLASSES;
  const named = reader.list(
    'classes',
    'event classes (or "all")',
    (value) => readWord(value, EVENT_CLASSES, 'event class'),
    mayBeAbsent ? undefined : 'Name at least one, or write "all" for every one.',
  );
  return EVENT_CLASSES.filter((name) => named.includes(name));
}

function readRuleLimits(reader: TableReader, verdict: RuleVerdict | undefined): Partial<Limits> {
  if (verdict === 'deny' && reader.has('limits')) {
    reader.problem(['limits'], 'have no effect in a rule that denies', 'Remove them.');
  }
  return readTable(reader, 'limits', LIMIT_KEYS);
}

/** Reports a `before` that refers to no earlier rule. */
function requireNamed(reader: TableReader, before: string, named: NamedRules): void {
  if (named.has(before)) return;
  const known = [...named.keys()];
  const list = known.length === 0 ? 'none' : known.join(', ');
  const remedy = `${suggestion(before, known)}Rules before this one: ${list}.`;
  reader.problem(['before'], `there is no earlier rule "${before}"`, remedy);
}

/** Records the name of a rule, or reports that an earlier rule has it. */
function claim(reader: TableReader, name: string, where: string, named: NamedRules): void {
  const earlier = named.get(name);
  if (earlier === undefined) named.set(name, where);
  else reader.problem(['name'], `the rule at ${earlier} is also called "${name}"`, 'Give each rule a name of its own.');
}

/** Inserts a rule after the others, or before the one that its `before` names. */
function insert(drafts: Draft[], draft: Draft): void {
  const index = drafts.findIndex(({ rule }) => rule.name === draft.before);
  drafts.splice(index < 0 ? drafts.length : index, 0, draft);
}
