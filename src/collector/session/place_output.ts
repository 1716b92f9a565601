import type { OutputFile } from '../../formats/output_file.js';
import type { ObservedCommand } from '../observed_command.js';

/**
 * Gives an output its name when the command has been executed, or at once when there is none. A command that cannot be
 * executed must not cost its user an older profile.
 * @returns resolves when the output has its name or will never get it; a rejection (see {@link OutputFile.place}) may be
 * left unhandled
 */
export function placeWhenExecuted(output: OutputFile, command: ObservedCommand | undefined): Promise<void> {
  const place = async (): Promise<void> => {
    if (command === undefined || (await command.executed) === 0) output.place();
  };
  const placed = place();
  placed.catch(() => undefined);
  return placed;
}
