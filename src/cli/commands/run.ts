import type { Command } from 'commander';
import { Channel } from '../../client/channel.js';
import { Client } from '../../client/client.js';
import { onlineCpus } from '../../common/cpus.js';
import { escapeName } from '../../common/quote.js';
import { recordingEvents } from '../../collector/event_defaults.js';
import type { EventOpener } from '../../collector/event_opener.js';
import { Launcher, LauncherGone } from '../../collector/launcher/launcher.js';
import { LauncherOpener } from '../../collector/launcher/launcher_opener.js';
import type { RecordingSummary } from '../../collector/record/recording_plan.js';
import { record } from '../../collector/record/recorder.js';
import type { UnobservableProgram } from '../../collector/profile/unobservable.js';
import { unobservablePrograms } from '../../collector/profile/unobservable.js';
import { eventName } from '../../model/events/syntax/event_name.js';
import type { Fd } from '../../native.js';
import { defaultRingBytes } from '../arguments.js';
import { ExitCode, Failure, UsageError, describeFailure } from '../failure.js';
import { watchInterrupts } from '../interrupts.js';
import type { RecordingOptions, RecordingRequest } from '../recording.js';
import { addRecordingOptions, originOfFile, summaryText, parseRecordingOptions, writeFailure } from '../recording.js';
import { RunFiles } from '../run_files.js';
import { noSamplesText } from '../session/no_samples.js';
import { sampledCpus, type SampledCpus } from '../session/sampled_cpus.js';

interface RunOptions extends RecordingOptions {
  readonly quiet?: true;
}

const TIMEOUT_MS = 30_000;
/** A recording up to this size is searched for programs that ran without their events. */
const SEARCHED_BYTES = 8 << 20;
const MAX_NAMES = 5;

const HELP = `
This process becomes CMD. The pid, the parent and everything that CMD inherits are the same as without perfbroker. The
collector is a separate process without privilege. It is not a child of CMD, and completes the file after CMD has ended.
Events come from the broker. Without a broker, this process opens them if it has CAP_PERFMON or CAP_SYS_ADMIN. With
neither, CMD runs unprofiled, with a warning.

Exit codes: that of CMD; 2 usage error; 125 CMD was not run (--require, --verify, or a failed downgrade); 126 CMD could
not be executed; 127 CMD was not found.

Examples:
  perfbroker run -- ./program argument                       profile it, without CAP_PERFMON and CAP_SYS_ADMIN
  perfbroker run --drop all --verify -- ./server             the program runs without any capability, or not at all
  perfbroker run --keep all -g -o profile.folded -- make     stacks for a flame graph; removes no capability
  gdb --args perfbroker run ./program                        breakpoints in the program work as usual`;

/** Defines the options for --help; the launcher parses them first and acts on those above -e (native/launcher/run_options.cc). */
export function define(command: Command): void {
  command
    .argument('<CMD...>', 'command to become')
    .option('--drop <CAPS>', 'capabilities that CMD loses besides CAP_PERFMON and CAP_SYS_ADMIN: a list, or all')
    .option('--keep <CAPS>', 'capabilities that CMD keeps: a list, or all')
    .option('--no-new-privs', 'set no_new_privs: programs that CMD executes gain no privileges (sudo and su fail)')
    .option('--lock', 'uid 0 gives CMD no privilege (securebits); as root this requires CAP_SETPCAP')
    .option('--verify', 'run CMD only when /proc confirms that it has lost the capabilities and cannot regain them')
    .option('--require', 'run CMD only when it can be profiled');
  addRecordingOptions(command)
    .option('-q, --quiet', 'print no summary; release standard error when CMD starts')
    .passThroughOptions()
    .addHelpText('after', HELP)
    .action(async () => {
      await collect(command.optsWithGlobals<RunOptions>());
    });
}

async function collect(options: RunOptions): Promise<void> {
  const launcher = Launcher.fromEnvironment();
  if (launcher === undefined)
    throw new Failure(
      'run is a command of the program perfbroker, not of the script behind it',
      'The process that becomes CMD must not be node.',
      'Start bin/perfbroker run.',
    );
  const collector = new Collector(launcher, options);
  try {
    await collector.run();
  } catch (error) {
    if (error instanceof LauncherGone) return;
    const { text, exitCode } = describeFailure(error);
    if (collector.begun) return launcher.writeStderr(text);
    if (error instanceof UsageError) launcher.fail(ExitCode.usage, `${text}See perfbroker run --help.\n`);
    else launcher.fail(exitCode, text.replace(/^perfbroker: /, '').trimEnd());
  } finally {
    launcher.close();
  }
}

class Collector {
  readonly #launcher: Launcher;
  readonly #options: RunOptions;
  /** True when CMD was released: the launcher receives no more messages. */
  begun = false;

  constructor(launcher: Launcher, options: RunOptions) {
    this.#launcher = launcher;
    this.#options = options;
  }

  async run(): Promise<void> {
    const request = parseRecordingOptions(this.#options);
    using interrupts = watchInterrupts();
    await using client = this.#client();
    using files = await RunFiles.create(this.#launcher, this.#options.output, request.folded);
    const notExecuted = new AbortController();
    const placed = this.#launcher.executed.then((error) => {
      if (error === 0) files.place();
      else notExecuted.abort();
    });
    placed.catch(() => undefined);
    const interrupt = AbortSignal.any([interrupts.signal, notExecuted.signal]);
    const summary = await this.#record(this.#opener(client), request, await cpusFor(client), files.data, interrupt);
    if ((await this.#launcher.executed) !== 0) return;
    await placed;
    this.#report(summary, files, request);
  }

  #record(
    opener: EventOpener,
    { bare, sampling, callGraph, ringBytes, durationMs }: RecordingRequest,
    { cpus, cpusOnline }: SampledCpus,
    outputFd: Fd,
    interrupt: AbortSignal,
  ): Promise<RecordingSummary> {
    const style = { ...(sampling === undefined ? {} : { sampling }), callGraph, inherit: true, enableOnExec: true };
    return record(opener, {
      targets: [{ pid: this.#launcher.pid }],
      events: recordingEvents(bare, style),
      names: bare.map(eventName),
      cpus,
      cpusOnline,
      ringBytes: ringBytes ?? defaultRingBytes(cpus.length),
      output: this.#options.output,
      outputFd,
      ...originOfFile(),
      workload: this.#launcher,
      ...(durationMs === undefined ? {} : { durationMs }),
      interrupt,
      onBegin: () => {
        this.begun = true;
        if (this.#options.quiet === true) this.#launcher.releaseStderr();
      },
    });
  }

  #client(): Client | undefined {
    const { connection } = this.#launcher;
    return connection === undefined ? undefined : new Client(new Channel(connection), TIMEOUT_MS);
  }

  #opener(client: Client | undefined): EventOpener {
    if (this.#launcher.source === 'direct') return new LauncherOpener(this.#launcher);
    // The launcher itself reports why there is no broker.
    if (client === undefined)
      throw new Failure('neither a broker nor a capability can open events', '', '', ExitCode.unreachable);
    const { pidfd } = this.#launcher;
    // The launcher made the connection, so that it asks for itself: a process always has access to itself.
    return { open: (request) => client.open({ ...request, targets: [{ pidfd }] }) };
  }

  #report(summary: RecordingSummary, files: RunFiles, { folded, bare, sampling }: RecordingRequest): void {
    const { output } = this.#options;
    if (summary.error !== undefined) throw writeFailure(output, folded, summary, summary.error);
    const searchable = summary.bytes <= SEARCHED_BYTES && summary.lost === 0n;
    const hidden = searchable ? files.readData(unobservablePrograms) : [];
    if (folded) files.fold();
    const silent = { ...summary, events: bare, ...(sampling === undefined ? {} : { sampling }) };
    // Programs without their events are the better reason.
    const reason = hidden.length > 0 ? '' : noSamplesText(silent);
    this.#launcher.writeStderr(summaryText(output, summary, reason) + hiddenText(hidden));
  }
}

/** Without a broker, the launcher opens the events, and this process knows the cpus as well as the launcher does. */
async function cpusFor(client: Client | undefined): Promise<SampledCpus> {
  if (client !== undefined) return sampledCpus(client, undefined);
  const cpus = onlineCpus();
  return { cpus, cpusOnline: cpus.length };
}

export function hiddenText(programs: readonly UnobservableProgram[]): string {
  if (programs.length === 0) return '';
  const names = programs.slice(0, MAX_NAMES).map(({ comm, pid }) => `${escapeName(comm)} (${pid})`);
  const more = programs.length > MAX_NAMES ? ` and ${programs.length - MAX_NAMES} more` : '';
  return `  not observed, because the kernel removes the events of setuid and unreadable programs: ${names.join(', ')}${more}\n`;
}
