import { Workload } from '../collector/launcher/workload.js';
import { ExitCode, Failure } from './failure.js';

/** Starts a command that waits at its gate. @throws Failure */
export async function startWorkload(command: readonly string[]): Promise<Workload> {
  try {
    return await Workload.start(command);
  } catch (error) {
    throw new Failure(
      `the command could not be started: ${(error as Error).message}`,
      'The launcher beside this program cannot be executed, or the limit of processes is reached.',
      'Check that the installation is complete (bin/perfbroker), and `ulimit -u`.',
      ExitCode.cannotStart,
    );
  }
}
