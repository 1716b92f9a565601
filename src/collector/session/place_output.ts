import type { NewOutputFile } from '../../formats/output_file.js';
import type { ObservedCommand } from '../observed_command.js';

/**
 * Gives an output its name when the command has been executed, or at once when there is none. A command that cannot be
 * executed must not cost its user an older profile.
 * @returns resolves when that is done, or never will be; a rejection (see {@link NewOutputFile.place}) may be left unhandled
 */
export function placeWhenExecuted(file: NewOutputFile, command: ObservedCommand | undefined): Promise<void> {
  const place = async (): Promise<void> => {
    if (command === undefined || (await command.executed) === 0) file.place();
  };
  const placed = place();
  placed.catch(() => undefined);
  return placed;
}
