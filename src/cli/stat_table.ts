import { escapeName } from '../common/quote.js';
import type { Count } from '../collector/count/counting.js';
import { scaled } from '../collector/count/counting.js';

/** An event and its count. */
export interface CountedEvent {
  readonly name: string;
  readonly count: Count;
}

/** True for events that count nanoseconds. */
function isClock(name: string): boolean {
  return /^(task|cpu)-clock(:|$)/.test(name);
}

function bare(name: string): string {
  return name.replace(/:[a-zA-Z]+$/, '');
}

interface Row {
  readonly value: string;
  readonly unit: string;
  readonly metric?: { readonly value: number; readonly digits: number; readonly unit: string };
  /** Percent of the time that the event was on the counter. */
  readonly running: number;
}

/** Table in the layout of `perf stat`. @param seconds elapsed */
export function statTable(events: readonly CountedEvent[], title: string, seconds: number): string {
  const lines = events.map((event) => {
    const row = rowOf(event, events, seconds);
    const metric =
      row.metric === undefined
        ? ''
        : `#  ${fixed(row.metric.value, row.metric.digits).padStart(7)} ${row.metric.unit}`.trimEnd();
    const share = row.running < 100 ? `(${row.running.toFixed(2)}%)` : '';
    return `${row.value.padStart(18)} ${row.unit.padEnd(4)} ${escapeName(event.name).padEnd(28)} ${metric.padEnd(34)} ${share}`.trimEnd();
  });
  return `\n Performance counter stats for ${escapeName(title)}:\n\n${lines.join('\n')}\n\n${`${seconds.toFixed(9)} seconds time elapsed`.padStart(38)}\n\n`;
}

/** Lines of one interval (-I), each with the time since the beginning first. */
export function intervalLines(events: readonly CountedEvent[], at: number, seconds: number): string {
  return events
    .map((event) => {
      const row = rowOf(event, events, seconds);
      const share = row.running < 100 ? `  (${row.running.toFixed(2)}%)` : '';
      return `${at.toFixed(9).padStart(16)} ${row.value.padStart(18)} ${row.unit.padEnd(4)} ${escapeName(event.name)}${share}\n`;
    })
    .join('');
}

/** One JSON object a line, with the keys of `perf stat -j`. @param at seconds since the beginning; with -I only */
export function jsonLines(events: readonly CountedEvent[], seconds: number, at?: number): string {
  return events
    .map((event) => {
      const value = scaled(event.count);
      const { metric, running } = rowOf(event, events, seconds);
      const object = {
        ...(at === undefined ? {} : { interval: Number(at.toFixed(9)) }),
        'counter-value': Number.isNaN(value) ? '<not counted>' : (value / (isClock(event.name) ? 1e6 : 1)).toFixed(6),
        unit: isClock(event.name) ? 'msec' : '',
        event: event.name,
        'event-runtime': Number(event.count.running),
        'pcnt-running': Number(running.toFixed(2)),
        ...(metric === undefined || !Number.isFinite(metric.value)
          ? {}
          : { 'metric-value': Number(metric.value.toFixed(6)), 'metric-unit': metric.unit }),
      };
      return `${JSON.stringify(object)}\n`;
    })
    .join('');
}

function rowOf(event: CountedEvent, events: readonly CountedEvent[], seconds: number): Row {
  const { name, count } = event;
  const value = scaled(count);
  const running = count.enabled === 0n ? 0 : (100 * Number(count.running)) / Number(count.enabled);
  if (Number.isNaN(value)) {
    // The event was never on a counter, or never enabled because the task did not run.
    return { value: '<not counted>', unit: '', running: count.enabled === 0n ? 100 : running };
  }
  const metric = metricOf(event, value, events, seconds);
  return {
    value: isClock(name) ? fixed(value / 1e6, 2) : fixed(value, 0),
    unit: isClock(name) ? 'msec' : '',
    running,
    ...(metric === undefined ? {} : { metric }),
  };
}

/** Metric printed after the `#`, as in perf (tools/perf/util/stat-shadow.c). */
function metricOf(event: CountedEvent, value: number, events: readonly CountedEvent[], seconds: number): Row['metric'] {
  const of = (wanted: string): number | undefined => {
    const found = events.find(({ name }) => bare(name) === wanted);
    return found === undefined ? undefined : scaled(found.count);
  };
  const name = bare(event.name);
  if (isClock(event.name)) return { value: value / 1e9 / seconds, digits: 3, unit: 'CPUs utilized' };
  const cycles = of('cycles');
  if (name === 'instructions' && cycles !== undefined && cycles > 0)
    return { value: value / cycles, digits: 2, unit: 'insn per cycle' };
  const branches = of('branches');
  if (name === 'branch-misses' && branches !== undefined && branches > 0)
    return { value: (100 * value) / branches, digits: 2, unit: '% of all branches' };
  const nanoseconds = of('task-clock') ?? of('cpu-clock');
  if (nanoseconds === undefined || !(nanoseconds > 0)) return undefined;
  if (name === 'cycles') return { value: value / nanoseconds, digits: 3, unit: 'GHz' };
  const rate = (value / nanoseconds) * 1e9;
  const [scale, prefix] = rate >= 1e9 ? [1e9, 'G'] : rate >= 1e6 ? [1e6, 'M'] : rate >= 1e3 ? [1e3, 'K'] : [1, ''];
  return { value: rate / scale, digits: 3, unit: `${prefix}/sec` };
}

function fixed(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const groups = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
  return fraction === undefined ? groups : `${groups}.${fraction}`;
}
