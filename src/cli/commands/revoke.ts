import type { Command } from 'commander';
import { escapeName } from '../../common/quote.js';
import {
  addAuthorizationOption,
  mayPrompt,
  whileAuthorizing,
  type AuthorizationOptions,
} from '../authorization_prompt.js';
import { withBroker } from '../broker.js';
import { print } from '../output.js';

const HELP = `
The broker disables the events and closes its own fds. The output states what the holder of the grant keeps.

Example:
  perfbroker revoke ID       an id that perfbroker grants prints`;

export function define(command: Command): void {
  addAuthorizationOption(command)
    .argument('<ID>', 'id of the grant')
    .addHelpText('after', HELP)
    .action(async (id: string) => {
      const { socket, ...authorization } = command.optsWithGlobals<{ socket?: string } & AuthorizationOptions>();
      const interactive = mayPrompt(authorization);
      const { fds, disabled, kept } = await withBroker(socket, (client) =>
        whileAuthorizing(interactive, client.revoke(id, { allowInteractive: interactive })),
      );
      print(`${escapeName(id)}: ${disabled} of ${fds} events disabled\n${escapeName(kept)}\n`);
    });
}
