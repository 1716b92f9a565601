/**
 * Config words of `pmu/term=value,…/`, by the formats and named events in /sys/bus/event_source/devices
 * (Documentation/ABI/testing/sysfs-bus-event_source-devices-format).
 */
import type { EventSource, U64 } from '../../event.js';
import { MAX_U64 } from '../event_rules.js';
import { quote } from '../../../common/quote.js';
import { didYouMean, nearest } from '../../../common/nearest.js';

/** Reads /sys/bus/event_source/devices. Injected, so that this module stays pure. */
export interface PmuReader {
  /** Text of a file, e.g. `cpu/format/event`; undefined when there is none. */
  readonly read: (path: string) => string | undefined;
  /** Names in a directory, e.g. `cpu/events`; empty when there is none. `''` lists the PMUs. */
  readonly list: (path: string) => readonly string[];
}

export interface Term {
  readonly name: string;
  readonly value?: string;
  /** Index into the text, for messages. */
  readonly at: number;
}

type Word = 'config' | 'config1' | 'config2' | 'config3';
const WORDS: readonly Word[] = ['config', 'config1', 'config2', 'config3'];

/** Places of the bits of a value, lowest first: `config:0-7,32-35`. */
export interface PmuFormat {
  readonly word: Word;
  readonly ranges: readonly (readonly [low: number, high: number])[];
}

type Fail = (at: number, problem: string) => never;

const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
const RAW_TERM = /^r(?:0x)?([0-9a-fA-F]{1,16})$/;

/** @returns undefined when the text is not a format of these words */
export function parseFormat(text: string): PmuFormat | undefined {
  const match = /^(config[123]?):([0-9,-]+)$/.exec(text.trim());
  const word = WORDS.find((name) => name === match?.[1]);
  if (word === undefined || match?.[2] === undefined) return undefined;
  const ranges: [number, number][] = [];
  for (const part of match[2].split(',')) {
    const range = /^(\d{1,2})(?:-(\d{1,2}))?$/.exec(part);
    const low = Number(range?.[1]);
    const high = Number(range?.[2] ?? range?.[1]);
    if (range === null || high > 63 || low > high) return undefined;
    ranges.push([low, high]);
  }
  return { word, ranges };
}

/** Splits `event=0x3c,umask=0,edge` at its commas. */
export function splitTerms(text: string, at: number): readonly Term[] {
  const terms: Term[] = [];
  for (const part of text === '' ? [] : text.split(',')) {
    const equals = part.indexOf('=');
    terms.push(
      equals < 0
        ? { name: part.trim(), at }
        : { name: part.slice(0, equals).trim(), value: part.slice(equals + 1).trim(), at },
    );
    at += part.length + 1;
  }
  return terms;
}

/** @throws the error of `fail` */
export function pmuSource(pmu: string, terms: readonly Term[], reader: PmuReader | undefined, fail: Fail): EventSource {
  const words = new Map<Word, bigint>();
  for (const term of terms) applyTerm(words, pmu, term, reader, fail, true);
  const extra = (word: Word): U64 | undefined => (words.get(word) === 0n ? undefined : words.get(word));
  const config1 = extra('config1');
  const config2 = extra('config2');
  const config3 = extra('config3');
  return {
    kind: 'pmu',
    pmu,
    config: words.get('config') ?? 0n,
    ...(config1 !== undefined && { config1 }),
    ...(config2 !== undefined && { config2 }),
    ...(config3 !== undefined && { config3 }),
  };
}

function applyTerm(
  words: Map<Word, bigint>,
  pmu: string,
  term: Term,
  reader: PmuReader | undefined,
  fail: Fail,
  mayBeEvent: boolean,
): void {
  const { name, value, at } = term;
  const word = WORDS.find((known) => known === name);
  if (word !== undefined) {
    words.set(word, numberOf(term, fail));
    return;
  }
  const raw = value === undefined ? RAW_TERM.exec(name)?.[1] : undefined;
  if (!FILE_NAME.test(name)) fail(at, `${quote(name, 64)} is not a term`);
  const formatText = reader?.read(`${pmu}/format/${name}`);
  const format =
    formatText === undefined
      ? undefined
      : (parseFormat(formatText) ?? fail(at, `the format of ${name} is not understood`));
  if (format !== undefined) {
    const number = value === undefined ? 1n : numberOf(term, fail);
    words.set(
      format.word,
      spread(words.get(format.word) ?? 0n, format, number, () =>
        fail(at, `${name}=${value ?? 1} does not fit into its bits`),
      ),
    );
    return;
  }
  // A named event has terms of its own, which cannot be named events.
  const event = mayBeEvent && value === undefined ? reader?.read(`${pmu}/events/${name}`) : undefined;
  if (event !== undefined) {
    for (const inner of splitTerms(event.trim(), at)) {
      if (inner.value === '?') fail(at, `${name} needs a value for ${inner.name}: write its terms instead`);
      applyTerm(words, pmu, { ...inner, at }, reader, fail, false);
    }
    return;
  }
  if (raw !== undefined) {
    words.set('config', BigInt(`0x${raw}`));
    return;
  }
  const known = [...(reader?.list(`${pmu}/format`) ?? []), ...(reader?.list(`${pmu}/events`) ?? []), ...WORDS];
  fail(at, `PMU ${pmu} has no term ${name}${didYouMean(nearest(name, known))}`);
}

function numberOf({ name, value, at }: Term, fail: Fail): bigint {
  if (value === undefined || !/^(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(value))
    fail(at, `${name} needs a number`);
  const number = BigInt(value);
  if (number > MAX_U64) fail(at, `${name} is above 2^64-1`);
  return number;
}

/** Puts the bits of `value`, lowest first, at the places of the format. */
function spread(word: bigint, { ranges }: PmuFormat, value: bigint, tooBig: () => never): bigint {
  for (const [low, high] of ranges) {
    const width = BigInt(high - low + 1);
    const mask = (1n << width) - 1n;
    word = (word & ~(mask << BigInt(low))) | ((value & mask) << BigInt(low));
    value >>= width;
  }
  if (value !== 0n) tooBig();
  return word;
}
