import type { Command } from 'commander';
import type { GrantRecord } from '../../client/index.js';
import { withBroker } from '../broker.js';
import { printable } from '../failure.js';
import { byteText, table } from '../text.js';
import { print } from '../output.js';

interface GrantsOptions {
  readonly socket?: string;
  readonly all?: true;
  readonly json?: true;
}

const HELP = `
Examples:
  perfbroker grants          your own
  perfbroker grants --all    everyone's (administrators)`;

export function define(command: Command): void {
  command
    .option('--all', "everyone's, for administrators")
    .option('-j, --json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async () => {
      const options = command.optsWithGlobals<GrantsOptions>();
      const grants = await withBroker(options.socket, (client) => client.listGrants({ all: options.all === true }));
      print(options.json === true ? `${JSON.stringify(grants, null, 2)}\n` : printable(textOf(grants)));
    });
}

function textOf(grants: readonly GrantRecord[]): string {
  if (grants.length === 0) return 'No grants.\n';
  const header = ['grant', 'uid', 'pid', 'age', 'lease', 'fds', 'rings', 'rule', 'targets', 'executable'];
  const rows = grants.map((grant) => [
    grant.id,
    `${grant.uid}`,
    `${grant.pid}`,
    `${grant.ageSeconds} s`,
    grant.leaseSeconds === 0 ? 'none' : `${grant.leaseSeconds} s`,
    `${grant.fds}`,
    byteText(grant.ringBytes),
    grant.rule,
    grant.targets.join(' '),
    grant.executable,
  ]);
  return table([header, ...rows], [1, 2, 3, 4, 5, 6]);
}
