import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { onlineCpus } from '../../collector/cpus.js';
import { DEFAULT_FREQUENCY, recordingEvents } from '../../collector/event_defaults.js';
import { writeFolded } from '../../collector/folded_file.js';
import type { RecordingEnd, RecordingSummary } from '../../collector/session.js';
import { record } from '../../collector/session.js';
import { eventName } from '../../model/event_syntax.js';
import { defaultRingBytes, parseRingBytes, parseSeconds } from '../arguments.js';
import { withBroker } from '../broker.js';
import { collectEvents, eventsFrom, samplingFrom } from '../event_option.js';
import { ExitCode, Failure, UsageError } from '../failure.js';
import { watchInterrupts } from '../interrupts.js';
import { Progress } from '../progress.js';
import type { SelectorOptions } from '../selectors.js';
import { addSelectors, selectionOf } from '../selectors.js';
import { byteText, grouped } from '../text.js';
import { VERSION } from '../../version.js';
import { startWorkload } from '../start_workload.js';

interface RecordOptions extends SelectorOptions {
  readonly socket?: string;
  readonly event?: string;
  readonly freq?: string;
  readonly count?: string;
  readonly callGraph?: true;
  readonly mmapPages?: string;
  readonly duration?: string;
  readonly output: string;
}

const HELP = `
Events are written as perf writes them: cpu-clock, page-faults:u, sched:sched_switch, cycles:pp, r01c2, {a,b}:u.
The recording ends with CMD, with the observed processes, after --duration, or with Ctrl-C; the file is complete then.
A file that exists is kept as FILE.old. A name that ends in .folded gives folded stacks (flamegraph.pl, speedscope)
and implies -g; with several events the event's name is the outermost frame.

Examples:
  perfbroker record -- ./program argument            cpu time of a command, until it ends
  perfbroker record -g -p 1234 --duration 10         ten seconds of a process, with call graphs
  perfbroker record -e page-faults:u -c 1 -p 1234    every page fault
  perfbroker record -o profile.folded -- make        stacks for a flame graph
  perfbroker record -a -- sleep 5                    everything, for five seconds (policy permitting)`;

export function define(command: Command): void {
  addSelectors(command)
    .argument('[CMD...]', 'command to run and observe; with -p, -t, -a or --cgroup it only sets the time')
    .option('-e, --event <EVENTS>', 'events (default: cpu-clock:u)', collectEvents)
    .option('-F, --freq <HZ>', `samples a second (default: ${DEFAULT_FREQUENCY}; each one of tracepoints)`)
    .option('-c, --count <PERIOD>', 'one sample for so many events')
    .option('-g, --call-graph', 'record call graphs (frame pointers)')
    .option('-m, --mmap-pages <SIZE>', 'ring of each cpu: pages (a power of two) or a size like 512K')
    .option('--duration <S>', 'end after so many seconds')
    .option('-o, --output <FILE>', 'perf.data file, or folded stacks by the name .folded', 'perf.data')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(async (words: string[]) => {
      process.exitCode = await run(words, command.optsWithGlobals<RecordOptions>());
    });
}

async function run(words: readonly string[], options: RecordOptions): Promise<number> {
  const selection = selectionOf(options);
  const bare = eventsFrom(options.event ?? 'cpu-clock:u');
  const sampling = samplingFrom(options);
  const folded = options.output.endsWith('.folded');
  const cpus = selection.cpus ?? onlineCpus();
  const ringBytes = options.mmapPages === undefined ? defaultRingBytes(cpus.length) : parseRingBytes(options.mmapPages);
  const durationMs = options.duration === undefined ? undefined : parseSeconds(options.duration, '--duration');
  if (options.output === '-') throw new UsageError('--output: a recording goes to a file, not to standard output');
  if (words.length === 0 && selection.targets.length === 0)
    throw new UsageError('nothing to record: name a CMD, or processes with --pid');
  const data = folded ? besides(options.output) : options.output;
  const interrupts = watchInterrupts(() => {
    if (folded) rmSync(data, { force: true });
  });
  const style = {
    ...(sampling === undefined ? {} : { sampling }),
    callGraph: options.callGraph === true || folded,
    inherit: selection.inherit,
  };
  const common = {
    names: bare.map(eventName),
    cpus,
    ringBytes,
    output: data,
    version: `perfbroker ${VERSION}`,
    commandLine: ['perfbroker', ...process.argv.slice(2)],
    ...(durationMs === undefined ? {} : { durationMs }),
    interrupt: interrupts.signal,
  };
  try {
    return await withBroker(options.socket, async (client) => {
      const workload = words.length > 0 ? await startWorkload(words) : undefined;
      const progress = new Progress();
      try {
        const observed = workload !== undefined && selection.targets.length === 0;
        const summary = await record(client, {
          ...common,
          targets: observed ? [{ pid: workload.pid }] : selection.targets,
          events: recordingEvents(bare, { ...style, enableOnExec: observed }),
          ...(workload === undefined ? {} : { workload }),
          onBegin: (stats) => {
            progress.begin(stats);
          },
        });
        progress.end();
        workload?.terminate();
        if (summary.error !== undefined) throw writeFailure(options.output, folded, summary, summary.error);
        if (folded) writeFolded(data, options.output);
        process.stderr.write(summaryText(options.output, summary));
        return workload === undefined ? ExitCode.ok : await workload.exited;
      } finally {
        progress.end();
        workload?.terminate();
      }
    });
  } finally {
    if (folded) rmSync(data, { force: true });
    interrupts.dispose();
  }
}

/** Folded stacks are made from a recording that lies beside them while it grows. */
function besides(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.data`);
}

const ENDS: Readonly<Record<RecordingEnd, string>> = {
  duration: 'time is over',
  command: 'the command ended',
  targets: 'the observed processes ended',
  interrupt: 'interrupted',
  lease: "the grant's lease is over",
  'write-error': 'writing failed',
};

function summaryText(path: string, summary: RecordingSummary): string {
  const figures = [
    `${grouped(summary.samples)} samples`,
    `${grouped(summary.lost)} lost`,
    `${grouped(summary.throttled)} throttled`,
    `${byteText(summary.bytes)} of records`,
    `${summary.seconds.toFixed(2)} s`,
  ];
  const notes: string[] = [];
  if (summary.lost > 0n) notes.push('  records were lost: use a larger ring (-m) or a lower frequency (-F)\n');
  if (summary.throttled > 0n) notes.push('  the kernel held events back: use a lower frequency (-F)\n');
  if (summary.unstable)
    notes.push('  threads were being born faster than they could be attached to: some may be missing\n');
  return `${path}: ${figures.join(', ')} (${ENDS[summary.end]})\n${notes.join('')}`;
}

function writeFailure(
  path: string,
  folded: boolean,
  summary: RecordingSummary,
  error: Error & { readonly code?: string },
): Failure {
  const full = error.code === 'ENOSPC' || error.code === 'EDQUOT';
  return new Failure(
    `writing ${path} failed: ${full ? 'no space is left' : error.message} (${error.code ?? 'unknown'})`,
    folded
      ? 'The recording that the stacks are made from found no room beside the file.'
      : `${byteText(summary.bytes)} of records were written before; the file ends with the last complete one.`,
    full ? 'Free space, or name a file on another file system with -o.' : 'Name another file with -o.',
  );
}
