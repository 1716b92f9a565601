import type { Command } from 'commander';
import {
  addAuthorizationOption,
  mayPrompt,
  whileAuthorizing,
  type AuthorizationOptions,
} from '../authorization_prompt.js';
import { withBroker } from '../broker.js';
import { printable } from '../failure.js';
import { print } from '../output.js';

const HELP = `
The broker switches the events off and closes what it holds; the answer says what the holder keeps.

Example:
  perfbroker revoke ID       an id that perfbroker grants printed`;

export function define(command: Command): void {
  addAuthorizationOption(command)
    .argument('<ID>', 'the grant')
    .addHelpText('after', HELP)
    .action(async (id: string) => {
      const { socket, ...asking } = command.optsWithGlobals<{ socket?: string } & AuthorizationOptions>();
      const interactive = mayPrompt(asking);
      const { fds, disabled, kept } = await withBroker(socket, (client) =>
        whileAuthorizing(interactive, client.revoke(id, { allowInteractive: interactive })),
      );
      print(printable(`${id}: ${disabled} of ${fds} events switched off\n${kept}\n`));
    });
}
