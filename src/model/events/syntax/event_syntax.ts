/**
 * Events as perf's command line writes them (perf-list(1)): `cpu-clock`, `page-faults:u`, `sched:sched_switch`,
 * `cycles:pp`, `r01c2`, `cpu/event=0x3c,umask=0/u`, `L1-dcache-load-misses`, `mem:0x1000/8:rw`, `{a,b}:u`, and lists
 * of them. Patterns (`sched:*`), filters and metrics are not supported.
 */
import type { EventSource, EventSpec, Sampling } from '../../event.js';
import { bareEvent } from '../event_defaults.js';
import { applyModifiers } from './event_modifiers.js';
import { symbolicSource, SYMBOLIC_NAMES } from './event_names.js';
import { checkEvent, MAX_EVENTS, quoted, refuse } from '../event_rules.js';
import { deepFreeze } from '../../../common/freeze.js';
import { didYouMean, nearest } from '../../../common/nearest.js';
import { pmuSource, splitTerms, type PmuReader, type Term } from './pmu_format.js';

export interface SyntaxOptions {
  /** For the terms of `pmu/…/`; without it only `config=` and its kind are known. */
  readonly pmus?: PmuReader;
}

const MAX_TEXT = 4096;
/** perf's lengths: 4 bytes for data, sizeof(long) for code. */
const DATA_BREAKPOINT_LENGTH = 4;
const CODE_BREAKPOINT_LENGTH = 8;
const BREAKPOINT = /^mem:(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})(?:\/([0-9]{1,2}))?(?::([rwx]{1,3}))?(?::([A-Za-z]+))?$/;

/**
 * @returns the events in order: source, exclusions, precision, and `leader` for the members of a group. Frozen.
 * @throws BrokerError InvalidEvent with the position (counted from 1) and, for a misspelled name, the nearest one
 */
export function parseEvents(text: string, options: SyntaxOptions = {}): readonly EventSpec[] {
  if (text.length > MAX_TEXT) refuse('syntax', `the list of events is longer than ${MAX_TEXT} characters`);
  return new EventParser(text, options.pmus).list();
}

class EventParser {
  readonly #text: string;
  readonly #pmus: PmuReader | undefined;
  readonly #events: EventSpec[] = [];
  #at = 0;

  constructor(text: string, pmus: PmuReader | undefined) {
    this.#text = text;
    this.#pmus = pmus;
  }

  list(): readonly EventSpec[] {
    do {
      this.#skipSpace();
      if (this.#text[this.#at] === '{') this.#group();
      else this.#events.push(this.#event(undefined));
      this.#skipSpace();
    } while (this.#take(','));
    if (this.#at < this.#text.length)
      this.#fail(this.#at, `${quoted(this.#text.slice(this.#at))} is not expected here`);
    if (this.#events.length > MAX_EVENTS)
      refuse('too-many-events', `the list has ${this.#events.length} events; the limit is ${MAX_EVENTS}`);
    for (const event of this.#events) checkEvent(event);
    return deepFreeze(this.#events);
  }

  #group(): void {
    const start = this.#at++;
    const leader = this.#events.length;
    do {
      this.#skipSpace();
      this.#events.push(this.#event(this.#events.length === leader ? undefined : leader));
      this.#skipSpace();
    } while (this.#take(','));
    if (!this.#take('}')) this.#fail(start, 'the group is not closed by }');
    if (!this.#take(':')) return;
    const at = this.#at;
    const modifiers = this.#until(/[,}]/).trimEnd();
    if (modifiers === '') this.#fail(at, 'modifiers are missing');
    for (let index = leader; index < this.#events.length; index++) {
      const member = this.#events[index];
      if (member === undefined) continue;
      const modified = this.#modified(member, modifiers, at);
      // A group is pinned or exclusive through its leader.
      const { pinned, exclusive } = index === leader ? modified : member;
      this.#events[index] = { ...modified, pinned, exclusive };
    }
  }

  #event(leader: number | undefined): EventSpec {
    const start = this.#at;
    const isBreakpoint = this.#text.startsWith('mem:', start);
    const head = this.#until(isBreakpoint ? /[,{}]/ : /[,{}/]/).trimEnd();
    if (head === '') this.#fail(start, 'an event is missing');
    const member = (source: EventSource, sampling?: Sampling): EventSpec => ({
      ...bareEvent(source),
      ...(sampling !== undefined && { sampling }),
      ...(leader !== undefined && { leader }),
    });
    if (isBreakpoint) return this.#breakpoint(head, start, member);
    if (this.#take('/')) return this.#withTerms(head, start, member);
    return this.#named(head, start, member);
  }

  #breakpoint(text: string, start: number, member: (source: EventSource) => EventSpec): EventSpec {
    const [, address, length, letters = 'rw', modifiers = ''] = BREAKPOINT.exec(text) ?? [];
    if (address === undefined)
      this.#fail(start, `${quoted(text)} is not of the form mem:ADDRESS[/LENGTH][:rwx][:MODIFIERS]`);
    const access = (['r', 'w', 'rw', 'x'] as const).find((name) => name === letters.split('').sort().join(''));
    if (access === undefined) this.#fail(start, `access ${quoted(letters)} is not one of r, w, rw, x`);
    const usual = access === 'x' ? CODE_BREAKPOINT_LENGTH : DATA_BREAKPOINT_LENGTH;
    const source: EventSource = {
      kind: 'breakpoint',
      access,
      address: BigInt(address),
      length: length === undefined ? usual : Number(length),
    };
    return this.#modified(member(source), modifiers, start + text.length - modifiers.length);
  }

  /** `name/term=value,…/modifiers` */
  #withTerms(name: string, start: number, member: (source: EventSource, sampling?: Sampling) => EventSpec): EventSpec {
    const termsAt = this.#at;
    const text = this.#until(/\//);
    if (!this.#take('/')) this.#fail(start, 'the terms are not closed by /');
    this.#take(':');
    const modifiersAt = this.#at;
    const modifiers = this.#until(/[,{}]/).trimEnd();
    const terms = splitTerms(text, termsAt);
    const isSampling = (term: Term): boolean => term.name === 'period' || term.name === 'freq';
    const sampling = this.#sampling(terms.filter(isSampling));
    const rest = terms.filter((term) => !isSampling(term));
    return this.#modified(member(this.#termSource(name, start, rest), sampling), modifiers, modifiersAt);
  }

  #termSource(name: string, start: number, terms: readonly Term[]): EventSource {
    const symbolic = symbolicSource(name);
    if (symbolic !== undefined) {
      const [term] = terms;
      if (term !== undefined) this.#fail(term.at, `${name} only takes the terms period and freq`);
      return symbolic;
    }
    const known = this.#pmus?.list('') ?? [];
    if (this.#pmus !== undefined && !known.includes(name)) {
      const hint = didYouMean(nearest(name, known));
      this.#fail(start, `there is no PMU ${quoted(name)} here${hint}`, 'unknown-pmu');
    }
    return pmuSource(name, terms, this.#pmus, (at, problem) => this.#fail(at, problem));
  }

  #sampling(terms: readonly Term[]): Sampling | undefined {
    const [term, another] = terms;
    if (term === undefined) return undefined;
    if (another !== undefined) this.#fail(another.at, 'period and freq exclude each other');
    if (!/^[1-9][0-9]{0,18}$/.test(term.value ?? '')) this.#fail(term.at, `${term.name} needs a number`);
    return term.name === 'freq' ? { frequency: Number(term.value) } : { period: BigInt(term.value ?? 0) };
  }

  /** `name[:modifiers]` or `subsystem:event[:modifiers]` */
  #named(text: string, start: number, member: (source: EventSource) => EventSpec): EventSpec {
    const [name = '', second, third, ...more] = text.split(':');
    const symbolic = symbolicSource(name);
    if (symbolic !== undefined) {
      if (third !== undefined) this.#fail(start, `${quoted(text)} has more than one list of modifiers`);
      if (second === '') this.#fail(start + text.length, 'modifiers are missing');
      return this.#modified(member(symbolic), second ?? '', start + name.length + 1);
    }
    const guess = nearest(name, SYMBOLIC_NAMES);
    const looksLikeModifiers = second === undefined || (guess !== undefined && /^[ukhGHIpPSDWeb]*$/.test(second));
    if (looksLikeModifiers) {
      this.#fail(start, `there is no event ${quoted(name)}${didYouMean(guess)}`, 'unknown-name');
    }
    if (/[*?[\]]/.test(text)) this.#fail(start, 'patterns are not supported: name one event');
    if (third === '' || more.length > 0)
      this.#fail(start, `${quoted(text)} is not of the form subsystem:event[:modifiers]`);
    const source: EventSource = { kind: 'tracepoint', name: `${name}:${second}` };
    return this.#modified(member(source), third ?? '', start + source.name.length + 1);
  }

  #modified(event: EventSpec, letters: string, at: number): EventSpec {
    const precise = Number(this.#pmus?.read('cpu/caps/max_precise') ?? 0);
    const maxPrecise = Number.isInteger(precise) && precise >= 0 ? Math.min(precise, 3) : 0;
    return applyModifiers(event, letters, maxPrecise, (index, problem) => this.#fail(at + index, problem));
  }

  #until(stop: RegExp): string {
    const rest = this.#text.slice(this.#at);
    const length = rest.search(stop);
    const taken = length < 0 ? rest : rest.slice(0, length);
    this.#at += taken.length;
    return taken;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    while (this.#text[this.#at] === ' ') this.#at++;
  }

  #fail(at: number, problem: string, code: 'syntax' | 'unknown-name' | 'unknown-pmu' = 'syntax'): never {
    refuse(code, `event list, position ${at + 1}: ${problem}`);
  }
}
