import { Workload } from '../collector/launcher/workload.js';
import { ExitCode, Failure } from './failure.js';

/** @throws Failure with the exit code for a CMD that could not be started. */
export async function startWorkload(command: readonly string[]): Promise<Workload> {
  try {
    return await Workload.start(command);
  } catch (error) {
    throw new Failure(
      `the command could not be started: ${(error as Error).message}`,
      'The launcher beside this program can not be executed, or no more processes may be made.',
      'Look whether the installation is complete (bin/perfbroker), and at `ulimit -u`.',
      ExitCode.cannotStart,
    );
  }
}
