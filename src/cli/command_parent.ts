/** The process that started this one, for the commands that have one: `record` and `stat`. */
import { isatty } from 'node:tty';
import { getSystemErrorName } from 'node:util';
import { CommandParent } from '../collector/launcher/command_parent.js';
import type { Workload } from '../collector/launcher/workload.js';
import { ExitCode, Failure, UsageError } from './failure.js';

let parent: CommandParent | undefined;
let isKnown = false;

/** @returns undefined when this process was not started by bin/perfbroker record or stat */
export function commandParent(): CommandParent | undefined {
  if (!isKnown) parent = CommandParent.fromEnvironment();
  isKnown = true;
  return parent;
}

/** True when standard error of the process that the shell started is a terminal. */
export function stderrIsTerminal(): boolean {
  return commandParent()?.isTerminal(2) ?? isatty(2);
}

/**
 * Checks that node got the options of a command line unchanged.
 * @param command the end of the command line, which is not used here and may have any bytes
 * @throws UsageError
 */
export function requireUnchanged(command: readonly string[]): void {
  const foreign = commandParent()?.foreignArgument ?? 0;
  if (foreign !== 0 && foreign < indexOf(command))
    throw new UsageError(`argument ${foreign} is not UTF-8; only CMD may contain such bytes`);
}

/**
 * Starts a command that waits at its gate.
 * @param command the end of the command line
 * @param isTimer it only sets the duration
 * @throws Failure
 */
export async function startWorkload(command: readonly string[], isTimer: boolean): Promise<Workload> {
  const starter = commandParent();
  if (starter === undefined)
    throw new Failure(
      'CMD is run by the program perfbroker, not by the script behind it',
      'CMD must not be a child of node.',
      'Start bin/perfbroker.',
      ExitCode.cannotStart,
    );
  try {
    return await starter.start(indexOf(command), isTimer);
  } catch (error) {
    throw new Failure(
      `the command could not be started: ${getSystemErrorName(-(error as { errno: number }).errno)}`,
      'The limit of processes (EAGAIN) or of open files (EMFILE) is reached.',
      'See `ulimit -u` and `ulimit -n`.',
      ExitCode.cannotStart,
    );
  }
}

/** Index of a command among the parent's arguments, which do not include this script. */
function indexOf(command: readonly string[]): number {
  return process.argv.length - 1 - command.length;
}
