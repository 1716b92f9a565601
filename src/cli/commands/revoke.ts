import type { Command } from 'commander';
import { withBroker } from '../broker.js';
import { printable } from '../failure.js';
import { print } from '../output.js';

const HELP = `
The broker switches the events off and closes what it holds; the answer says what the holder keeps.

Example:
  perfbroker revoke ID       an id that perfbroker grants printed`;

export function define(command: Command): void {
  command
    .argument('<ID>', 'the grant')
    .addHelpText('after', HELP)
    .action(async (id: string) => {
      const { socket } = command.optsWithGlobals<{ socket?: string }>();
      const { fds, disabled, kept } = await withBroker(socket, (client) => client.revoke(id));
      print(printable(`${id}: ${disabled} of ${fds} events switched off\n${kept}\n`));
    });
}
