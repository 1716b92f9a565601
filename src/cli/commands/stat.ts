import { closeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Client } from '../../client/index.js';
import type { Count } from '../../collector/count/counting.js';
import { Counters, difference } from '../../collector/count/counting.js';
import { placeWhenExecuted } from '../../collector/session/place_output.js';
import { whenProcessesEnd } from '../../collector/host/processes_end.js';
import { GrantWatch, type GrantEnd } from '../../collector/session/grant_watch.js';
import type { Workload } from '../../collector/launcher/workload.js';
import { openOutputFile, type NewOutputFile } from '../../formats/output_file.js';
import { writeFully } from '../../formats/write_fully.js';
import { BrokerError } from '../../model/errors/errors.js';
import type { EventSpec } from '../../model/event.js';
import { eventName } from '../../model/events/syntax/event_name.js';
import { withCounting } from '../../model/events/event_defaults.js';
import { parseSeconds, parseInteger } from '../arguments.js';
import {
  addAuthorizationOption,
  promptingOpener,
  mayPrompt,
  type AuthorizationOptions,
} from '../authorization_prompt.js';
import { withBroker } from '../broker.js';
import { collectEvents, eventsFrom } from '../event_option.js';
import { ExitCode, UsageError } from '../failure.js';
import { watchInterrupts } from '../interrupts.js';
import { END_TEXTS } from '../recording.js';
import type { Selection, SelectorOptions } from '../selectors.js';
import { addSelectors, selectionOf } from '../selectors.js';
import { startWorkload } from '../start_workload.js';
import { defaultEvents, HARDWARE, SOFTWARE, userSideOf } from '../stat_events.js';
import type { CountedEvent } from '../stat_table.js';
import { intervalLines, jsonLines, statTable } from '../stat_table.js';
import { printError } from '../output.js';

interface StatOptions extends SelectorOptions, AuthorizationOptions {
  readonly socket?: string;
  readonly event?: string;
  readonly intervalPrint?: string;
  readonly duration?: string;
  readonly json?: true;
  readonly output?: string;
}

const HELP = `
Without -e: ${SOFTWARE}, and where there is a
cpu PMU ${HARDWARE}; of the user side alone (:u) when policy allows no more.
Counts are scaled by the time that an event was on the counter. The table goes to standard error, as perf's does.
With -o it goes to a file; one that exists is kept as FILE.old.

Examples:
  perfbroker stat -- make                            counts of a command and its children
  perfbroker stat -p 1234 --duration 5               five seconds of a process
  perfbroker stat -e page-faults:u -I 1000 -p 1234   every second
  perfbroker stat --json -- ./program                one JSON object a line, keys as perf stat -j`;

export function define(command: Command): void {
  addAuthorizationOption(addSelectors(command))
    .argument('[CMD...]', 'command to run and count; with -p, -t, -a or --cgroup it only sets the time')
    .option('-e, --event <EVENTS>', 'events', collectEvents)
    .option('-I, --interval-print <MS>', 'print what was counted every so many milliseconds (10 to 86400000)')
    .option('--duration <S>', 'end after so many seconds')
    .option('-j, --json', 'print JSON')
    .option('-o, --output <FILE>', 'print to a file')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(async (cmd: string[]) => {
      process.exitCode = await run(cmd, command.optsWithGlobals<StatOptions>());
    });
}

async function run(command: readonly string[], options: StatOptions): Promise<number> {
  const selection = selectionOf(options);
  const asked = options.event === undefined ? undefined : eventsFrom(options.event);
  const intervalMs =
    options.intervalPrint === undefined
      ? undefined
      : parseInteger(options.intervalPrint, '--interval-print', 10, 86_400_000);
  const durationMs = options.duration === undefined ? undefined : parseSeconds(options.duration, '--duration');
  if (command.length === 0 && selection.targets.length === 0)
    throw new UsageError('nothing to count: name a CMD, or processes with --pid');
  const interrupts = watchInterrupts();
  try {
    return await withBroker(options.socket, async (client) => {
      const workload = command.length > 0 ? await startWorkload(command) : undefined;
      try {
        const { counters, events } = await openCounters(client, {
          selection,
          workload,
          asked,
          interactive: mayPrompt(options),
          interrupt: interrupts.signal,
        });
        try {
          // Only now: a request that fails leaves the file of an earlier one as it is.
          const file = options.output === undefined ? undefined : openOutputFile(options.output);
          try {
            const time = { selection, workload, intervalMs, durationMs, interrupt: interrupts.signal };
            const form = { json: options.json === true, title: titleOf(command, options), print: printerTo(file) };
            const placed = file === undefined ? undefined : placeWhenExecuted(file, workload);
            await count(counters, events, time, form);
            await placed;
          } finally {
            if (file !== undefined) closeSync(file.fd);
            file?.discard();
          }
        } finally {
          await counters.close();
        }
        workload?.terminate();
        return workload === undefined ? ExitCode.ok : await workload.exited;
      } finally {
        workload?.terminate();
      }
    });
  } finally {
    interrupts.dispose();
  }
}

/** @returns prints; false when nobody reads it any more */
function printerTo(file: NewOutputFile | undefined): (text: string) => boolean {
  if (file === undefined) return printError;
  return (text) => {
    writeFully(file.fd, Buffer.from(text));
    return true;
  };
}

interface CountRequest {
  readonly selection: Selection;
  readonly workload: Workload | undefined;
  /** Absent: the default events. */
  readonly asked: readonly EventSpec[] | undefined;
  /** Whether a human may be asked. */
  readonly interactive: boolean;
  readonly interrupt: AbortSignal;
}

/** The default events include the kernel's side where policy allows it, as perf's do; where it does not, the user's alone. */
async function openCounters(
  client: Client,
  { selection, workload, asked, interactive, interrupt }: CountRequest,
): Promise<{ counters: Counters; events: readonly EventSpec[] }> {
  const observed = workload !== undefined && selection.targets.length === 0;
  const open = async (
    bare: readonly EventSpec[],
    mayPromptNow: boolean,
  ): Promise<{ counters: Counters; events: readonly EventSpec[] }> => {
    const counters = await Counters.open(promptingOpener(client, mayPromptNow, interrupt), {
      targets: observed ? [{ pid: workload.pid }] : selection.targets,
      events: withCounting(bare, { inherit: selection.inherit, enableOnExec: observed }),
      ...(selection.cpus === undefined ? {} : { cpus: selection.cpus }),
    });
    return { counters, events: bare };
  };
  if (asked !== undefined) return open(asked, interactive);
  const events = await defaultEvents(client);
  try {
    // Nobody is asked for the kernel's side that was not asked for.
    return await open(events, false);
  } catch (error) {
    if (!(error instanceof BrokerError) || !['PolicyDenied', 'CeilingExceeded'].includes(error.error)) throw error;
    return open(userSideOf(events), interactive);
  }
}

interface CountingTime {
  readonly selection: Selection;
  readonly workload: Workload | undefined;
  readonly intervalMs: number | undefined;
  readonly durationMs: number | undefined;
  readonly interrupt: AbortSignal;
}

interface Output {
  readonly json: boolean;
  readonly title: string;
  readonly print: (text: string) => boolean;
}

/** @returns false when there was no command to count: nothing is printed then */
async function count(
  counters: Counters,
  events: readonly EventSpec[],
  time: CountingTime,
  { json, title, print }: Output,
): Promise<boolean> {
  const names = events.map(eventName);
  const named = (counts: readonly Count[]): readonly CountedEvent[] =>
    counts.map((value, index) => ({ name: names[index] ?? '', count: value }));
  const { workload, selection, intervalMs } = time;
  // An observed command enables its events itself, when it is executed.
  const observed = workload !== undefined && selection.targets.length === 0;
  if (!observed) counters.enable();
  const began = process.hrtime.bigint();
  const elapsed = (): number => Number(process.hrtime.bigint() - began) / 1e9;
  const ends = new AbortController();
  const unread = new AbortController();
  const watch = new GrantWatch(counters.grant, observed ? [{ pid: workload.pid }] : selection.targets);
  workload?.release();
  const over = ended(time, watch, AbortSignal.any([time.interrupt, unread.signal]), ends.signal);
  let before: { readonly counts: readonly Count[]; readonly at: number } = { counts: [], at: 0 };
  const interval = (): void => {
    const [counts, at] = [counters.read(), elapsed()];
    const part = named(difference(counts, before.counts));
    const read = print(json ? jsonLines(part, at - before.at, at) : intervalLines(part, at, at - before.at));
    // A command is not ended by that: what it does matters to somebody else than who read the counts.
    if (!read && workload === undefined) unread.abort();
    before = { counts, at };
  };
  const timer = intervalMs === undefined ? undefined : setInterval(interval, intervalMs);
  let end: CountingEnd;
  let seconds: number;
  try {
    end = await over;
    clearInterval(timer);
    seconds = elapsed();
    counters.disable();
    if ((end === 'duration' || end === 'interrupt') && (await watch.wasRevoked())) end = 'revoked';
  } finally {
    clearInterval(timer);
    ends.abort();
    watch.dispose();
  }
  if (end === 'command' && (await workload?.executed) !== 0) return false;
  if (intervalMs !== undefined) interval();
  else print(json ? jsonLines(named(counters.read()), seconds) : statTable(named(counters.read()), title, seconds));
  if (end === 'lease' || end === 'revoked')
    printError(`perfbroker: ${END_TEXTS[end]}: nothing was counted after that\n`);
  if (json) return true;
  if (counters.unstable)
    print(' Threads were being born faster than they could be attached to: some may be missing.\n\n');
  if (names.some((name) => /^(context-switches|cpu-migrations):u$/.test(name)))
    print(' context-switches and cpu-migrations happen in the kernel: of the user side alone (:u) they are 0.\n\n');
  return true;
}

type CountingEnd = 'interrupt' | 'command' | 'duration' | 'targets' | GrantEnd;

async function ended(
  { selection, workload, durationMs }: CountingTime,
  watch: GrantWatch,
  interrupt: AbortSignal,
  dispose: AbortSignal,
): Promise<CountingEnd> {
  const ends: Promise<CountingEnd>[] = [
    watch.ended,
    new Promise((resolve) => {
      const onAbort = (): void => {
        resolve('interrupt');
      };
      if (interrupt.aborted) onAbort();
      interrupt.addEventListener('abort', onAbort, { once: true, signal: dispose });
    }),
  ];
  if (workload !== undefined) ends.push(workload.exited.then(() => 'command'));
  if (durationMs !== undefined) ends.push(delay(durationMs, 'duration', { signal: dispose }));
  const pids = selection.targets.flatMap((target) => ('pid' in target ? [target.pid] : []));
  if (pids.length > 0) {
    const processes = whenProcessesEnd(pids);
    dispose.addEventListener('abort', processes.dispose, { once: true });
    ends.push(processes.ended.then(() => 'targets'));
  }
  for (const end of ends) end.catch(() => undefined);
  return Promise.race(ends);
}

function titleOf(command: readonly string[], options: StatOptions): string {
  if (options.pid !== undefined) return `process id '${options.pid}'`;
  if (options.tid !== undefined) return `thread id '${options.tid}'`;
  if (options.cgroup !== undefined) return `cgroup '${options.cgroup}'`;
  if (options.allCpus === true) return `'system wide'`;
  return options.cpu === undefined ? `'${command.join(' ')}'` : `'CPU(s) ${options.cpu}'`;
}
