import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { endsCommand } from '../../collector/session/session_end.js';
import { measureCpuUse } from '../../collector/host/cpu_use.js';
import { recordingEvents } from '../../collector/event_defaults.js';
import { writeFolded } from '../../collector/profile/folded_file.js';
import { record } from '../../collector/record/recorder.js';
import { eventName } from '../../model/events/syntax/event_name.js';
import {
  addAuthorizationOption,
  promptingOpener,
  mayPrompt,
  type AuthorizationOptions,
} from '../authorization_prompt.js';
import { defaultRingBytes } from '../arguments.js';
import { withBroker } from '../broker.js';
import { requireUnchanged, startWorkload } from '../command_parent.js';
import { requireReplaceable } from '../../formats/output_file.js';
import { ExitCode, UsageError } from '../failure.js';
import { watchInterrupts } from '../interrupts.js';
import { Progress, mayShowProgress, type ProgressOptions } from '../progress.js';
import type { RecordingOptions } from '../recording.js';
import {
  addRecordingOptions,
  originOfFile,
  summaryText,
  goesOnText,
  parseRecordingOptions,
  writeFailure,
} from '../recording.js';
import type { SelectorOptions } from '../selectors.js';
import { addSelectors, selectionOf } from '../selectors.js';
import { noSamplesText } from '../session/no_samples.js';
import { sampledCpus } from '../session/sampled_cpus.js';
import { printError } from '../output.js';

interface RecordOptions extends SelectorOptions, RecordingOptions, AuthorizationOptions, ProgressOptions {
  readonly socket?: string;
}

const HELP = `
Events are written as in perf: cpu-clock, page-faults:u, sched:sched_switch, cycles:pp, r01c2, {a,b}:u.
The recording ends when CMD or the observed processes end, after --duration, or with Ctrl-C. The file is then complete.
An existing file is kept as FILE.old. A name ending in .folded writes folded stacks (flamegraph.pl, speedscope) and
implies -g. With several events, the event's name is the outermost frame.

Examples:
  perfbroker record -- ./program argument            CPU time of a command, until it ends
  perfbroker record -g -p 1234 --duration 10         ten seconds of a process, with call graphs
  perfbroker record -e page-faults:u -c 1 -p 1234    every page fault
  perfbroker record -o profile.folded -- make        stacks for a flame graph
  perfbroker record -a -- sleep 5                    everything, for five seconds (policy permitting)`;

export function define(command: Command): void {
  const observing = addSelectors(command).argument(
    '[CMD...]',
    'command to run and observe; with -p, -t, -a, -C or --cgroup it only sets the duration',
  );
  addAuthorizationOption(addRecordingOptions(observing))
    .option('-q, --quiet', 'print neither progress nor a summary')
    .option('--progress', 'print progress also where CMD has the terminal, and where it is not a terminal')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(async (cmd: string[]) => {
      process.exitCode = await run(cmd, command.optsWithGlobals<RecordOptions>());
    });
}

async function run(command: readonly string[], options: RecordOptions): Promise<number> {
  requireUnchanged(command);
  const selection = selectionOf(options);
  const { bare, sampling, callGraph, folded, ringBytes, durationMs } = parseRecordingOptions(options);
  if (command.length === 0 && selection.targets.length === 0)
    throw new UsageError('nothing to record: give a CMD, or processes with --pid');
  // The stacks are written after the command: an obstacle must not cost the recording.
  requireReplaceable(options.output);
  using interrupts = watchInterrupts(() => data.remove());
  using data = new DataFile(options.output, folded);
  return await withBroker(options.socket, async (client) => {
    const { cpus, cpusOnline } = await sampledCpus(client, selection.cpus);
    using workload = command.length > 0 ? await startWorkload(command, selection.targets.length > 0) : undefined;
    using progress = new Progress(options.progress === true);
    const cpuUse = measureCpuUse(selection.targets.filter((target) => 'pid' in target));
    const observed = workload !== undefined && selection.targets.length === 0;
    const summary = await record(promptingOpener(client, mayPrompt(options), interrupts.signal, options.socket), {
      targets: observed ? [{ pid: workload.pid }] : selection.targets,
      events: recordingEvents(bare, {
        ...(sampling === undefined ? {} : { sampling }),
        callGraph,
        inherit: selection.inherit,
        enableOnExec: observed,
      }),
      names: bare.map(eventName),
      cpus,
      cpusOnline,
      ringBytes: ringBytes ?? defaultRingBytes(cpus.length),
      output: data.path,
      ...originOfFile(),
      ...(durationMs === undefined ? {} : { durationMs }),
      interrupt: interrupts.signal,
      ...(workload === undefined ? {} : { workload }),
      onBegin: (stats) => {
        if (mayShowProgress(options, workload !== undefined)) progress.begin(stats);
      },
    });
    progress.end();
    const use = cpuUse();
    const outlives = workload !== undefined && !endsCommand(summary.end, observed);
    if (!outlives) workload?.terminate();
    if (summary.error !== undefined) throw writeFailure(options.output, folded, summary, summary.error);
    // Without a command there is no file, and the launcher has reported why.
    if (summary.end !== 'not-executed') {
      if (folded) writeFolded(data.path, options.output);
      if (options.quiet !== true) {
        const silent = { ...summary, ...selection, events: bare, use, ...(sampling === undefined ? {} : { sampling }) };
        printError(summaryText(options.output, summary, noSamplesText(silent)));
      }
      if (outlives && summary.end !== 'command') printError(goesOnText(summary));
    }
    // The parent waits for a command that outlives its recording, and passes its exit code on.
    return workload === undefined || outlives ? ExitCode.ok : await workload.exited;
  });
}

/** The file to record to: the output, or for folded stacks a hidden file beside it, which is removed in the end. */
class DataFile implements Disposable {
  readonly path: string;
  readonly #hidden: boolean;

  constructor(output: string, folded: boolean) {
    this.path = folded ? join(dirname(output), `.perfbroker-${process.pid}.data`) : output;
    this.#hidden = folded;
  }

  remove(): void {
    if (this.#hidden) rmSync(this.path, { force: true });
  }

  [Symbol.dispose](): void {
    this.remove();
  }
}
