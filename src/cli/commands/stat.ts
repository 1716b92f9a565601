import type { Command } from 'commander';
import type { Client } from '../../client/index.js';
import { count, type CountedInterval } from '../../collector/count/count.js';
import type { Count } from '../../collector/count/counting.js';
import type { Workload } from '../../collector/launcher/workload.js';
import { endsCommand } from '../../collector/session/session_end.js';
import { placeWhenExecuted } from '../../collector/session/place_output.js';
import { OutputFile, requireReplaceable } from '../../formats/output_file.js';
import { writeFully } from '../../formats/write_fully.js';
import type { EventSpec } from '../../model/event.js';
import { eventName } from '../../model/events/syntax/event_name.js';
import { parseInteger, parseOutput, parseSeconds } from '../arguments.js';
import { addAuthorizationOption, mayPrompt, type AuthorizationOptions } from '../authorization_prompt.js';
import { withBroker } from '../broker.js';
import { requireUnchanged, startWorkload } from '../command_parent.js';
import { collectEvents, eventsFrom } from '../event_option.js';
import { ExitCode, UsageError } from '../failure.js';
import { watchInterrupts } from '../interrupts.js';
import { openCounters } from '../open_counters.js';
import { printError } from '../output.js';
import { END_TEXTS, failedWrite, lossText } from '../recording.js';
import type { Selection, SelectorOptions } from '../selectors.js';
import { addSelectors, selectionOf } from '../selectors.js';
import { requireOnline } from '../session/sampled_cpus.js';
import { HARDWARE, SOFTWARE } from '../stat_events.js';
import type { CountedEvent } from '../stat_table.js';
import { intervalLines, jsonLines, statTable } from '../stat_table.js';

interface StatOptions extends SelectorOptions, AuthorizationOptions {
  readonly socket?: string;
  readonly event?: string;
  readonly intervalPrint?: string;
  readonly duration?: string;
  readonly json?: true;
  readonly output?: string;
}

const HELP = `
Without -e: ${SOFTWARE}, and with a cpu PMU
${HARDWARE}; in user mode alone (:u) where the policy does not allow kernel mode.
Counts are scaled by the share of time that the event was on a counter. The table goes to standard error, as with perf,
or with -o to a file. An existing file is kept as FILE.old.

Examples:
  perfbroker stat -- make                            counts of a command and its children
  perfbroker stat -p 1234 --duration 5               five seconds of a process
  perfbroker stat -e page-faults:u -I 1000 -p 1234   every second
  perfbroker stat --json -- ./program                one JSON object a line, keys as perf stat -j`;

export function define(command: Command): void {
  addAuthorizationOption(addSelectors(command))
    .argument('[CMD...]', 'command to run and count; with -p, -t, -a, -C or --cgroup it only sets the duration')
    .option('-e, --event <EVENTS>', 'events to count (default: see below)', collectEvents)
    .option('-I, --interval-print <MS>', 'print the counts of each interval of MS milliseconds (10 to 86400000)')
    .option('--duration <S>', 'end after S seconds')
    .option('-j, --json', 'print JSON')
    .option('-o, --output <FILE>', 'print to a file')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(async (cmd: string[]) => {
      process.exitCode = await run(cmd, command.optsWithGlobals<StatOptions>());
    });
}

async function run(command: readonly string[], options: StatOptions): Promise<number> {
  requireUnchanged(command);
  const form = parseOptions(command, options);
  if (form.output !== undefined) requireReplaceable(form.output);
  using interrupts = watchInterrupts();
  return await withBroker(options.socket, async (client) => {
    await requireOnline(client, form.selection.cpus);
    using workload = command.length > 0 ? await startWorkload(command, form.selection.targets.length > 0) : undefined;
    const outlives = await countAndPrint(client, form, workload, interrupts.signal);
    if (!outlives) workload?.terminate();
    // The parent waits for a command that outlives its count, and passes its exit code on.
    return workload === undefined || outlives ? ExitCode.ok : await workload.exited;
  });
}

/** The options, parsed. */
interface StatForm {
  readonly selection: Selection;
  readonly events: readonly EventSpec[] | undefined;
  readonly intervalMs: number | undefined;
  readonly durationMs: number | undefined;
  readonly interactive: boolean;
  readonly socket: string | undefined;
  readonly json: boolean;
  readonly title: string;
  readonly output: string | undefined;
}

/** @throws UsageError */
function parseOptions(command: readonly string[], options: StatOptions): StatForm {
  const { event, intervalPrint, duration, output } = options;
  const form = {
    selection: selectionOf(options),
    events: event === undefined ? undefined : eventsFrom(event),
    intervalMs:
      intervalPrint === undefined ? undefined : parseInteger(intervalPrint, '--interval-print', 10, 86_400_000),
    durationMs: duration === undefined ? undefined : parseSeconds(duration, '--duration'),
    interactive: mayPrompt(options),
    socket: options.socket,
    json: options.json === true,
    title: titleOf(command, options),
    output: output === undefined ? undefined : parseOutput(output),
  };
  if (command.length === 0 && form.selection.targets.length === 0)
    throw new UsageError('nothing to count: give a CMD, or processes with --pid');
  return form;
}

/** @returns true when the command goes on though the count has ended */
async function countAndPrint(
  client: Client,
  { selection, events: requested, intervalMs, durationMs, interactive, socket, json, title, output }: StatForm,
  workload: Workload | undefined,
  interrupt: AbortSignal,
): Promise<boolean> {
  const observed = workload !== undefined && selection.targets.length === 0;
  const targets = observed ? [{ pid: workload.pid }] : selection.targets;
  const opened = await openCounters(client, {
    targets,
    ...(selection.cpus === undefined ? {} : { cpus: selection.cpus }),
    ...(requested === undefined ? {} : { events: requested }),
    inherit: selection.inherit,
    enableOnExec: observed,
    interactive,
    interrupt,
    ...(socket === undefined ? {} : { socket }),
  });
  await using counters = opened.counters;
  // Created only now: a request that fails leaves the file of an earlier one as it is.
  using file = output === undefined ? undefined : OutputFile.create(output);
  const print = printerTo(file, output);
  const placed = file === undefined ? undefined : placeWhenExecuted(file, workload);
  const names = opened.events.map(eventName);
  const named = (counts: readonly Count[]): readonly CountedEvent[] =>
    counts.map((value, index) => ({ name: names[index] ?? '', count: value }));
  const onInterval = ({ counts, at, seconds }: CountedInterval): boolean =>
    print(json ? jsonLines(named(counts), seconds, at) : intervalLines(named(counts), at, seconds));
  const { end, counts, seconds, lossOfBroker } = await count(counters, {
    targets,
    ...(workload === undefined ? {} : { workload }),
    ...(durationMs === undefined ? {} : { durationMs }),
    interrupt,
    ...(intervalMs === undefined ? {} : { intervals: { ms: intervalMs, onInterval } }),
  });
  if (end !== 'not-executed') {
    if (intervalMs === undefined)
      print(json ? jsonLines(named(counts), seconds) : statTable(named(counts), title, seconds));
    if (end === 'lease' || end === 'revoked')
      printError(`perfbroker: ${END_TEXTS[end]}: nothing was counted after ${seconds.toFixed(2)} s\n`);
    if (lossOfBroker !== undefined) printError(lossText(lossOfBroker, 'counts'));
    if (!json) print(notes(counters.unstable, names));
  }
  await placed;
  return workload !== undefined && !endsCommand(end, observed);
}

/** @returns a function that prints, and returns false when no reader is left; it throws Failure when a file is full */
function printerTo(file: OutputFile | undefined, path = ''): (text: string) => boolean {
  if (file === undefined) return printError;
  return (text) => {
    try {
      writeFully(file.fd, Buffer.from(text));
    } catch (error) {
      throw failedWrite(path, error as NodeJS.ErrnoException, 'The file has no counts after this.');
    }
    return true;
  };
}

function notes(unstable: boolean, names: readonly string[]): string {
  const threads = ' New threads appeared faster than they could be attached to: some may be missing.\n\n';
  const kernel =
    ' context-switches and cpu-migrations happen in kernel mode: counted in user mode alone (:u) they are 0.\n\n';
  return `${unstable ? threads : ''}${names.some((name) => /^(context-switches|cpu-migrations):u$/.test(name)) ? kernel : ''}`;
}

function titleOf(command: readonly string[], options: StatOptions): string {
  if (options.pid !== undefined) return `process id '${options.pid}'`;
  if (options.tid !== undefined) return `thread id '${options.tid}'`;
  if (options.cgroup !== undefined) return `cgroup '${options.cgroup}'`;
  if (options.allCpus === true) return `'system wide'`;
  return options.cpu === undefined ? `'${command.join(' ')}'` : `'CPU(s) ${options.cpu}'`;
}
