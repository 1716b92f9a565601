import type { Command } from 'commander';
import { escapeName } from '../../common/quote.js';
import { watchGrants, type GrantChange, type GrantRecord } from '../../client/index.js';
import {
  addAuthorizationOption,
  mayPrompt,
  whileAuthorizing,
  type AuthorizationOptions,
} from '../authorization_prompt.js';
import { withBroker } from '../broker.js';
import { watchInterrupts } from '../interrupts.js';
import { byteText, jsonText, table } from '../text.js';
import { print } from '../output.js';

interface GrantsOptions extends AuthorizationOptions {
  readonly socket?: string;
  readonly all?: true;
  readonly follow?: true;
  readonly json?: true;
}

const HELP = `
Examples:
  perfbroker grants             your own grants
  perfbroker grants --all       those of all users
  perfbroker grants --follow    a line for each grant that begins or ends, until Ctrl-C`;

export function define(command: Command): void {
  addAuthorizationOption(command)
    .option('--all', 'list the grants of all users (administrators, or with the authorization of polkit)')
    .option('-f, --follow', 'print each grant that begins or ends, until Ctrl-C')
    .option('-j, --json', 'print JSON; with --follow, one object a line')
    .addHelpText('after', HELP)
    .action(async () => {
      const options = command.optsWithGlobals<GrantsOptions>();
      await (options.follow === true ? follow(options) : list(options));
    });
}

async function list(options: GrantsOptions): Promise<void> {
  const all = options.all === true;
  // No authorization is needed for the caller's own grants.
  const interactive = all && mayPrompt(options);
  const grants = await withBroker(options.socket, (client) =>
    whileAuthorizing(interactive, client.listGrants({ all, allowInteractive: interactive })),
  );
  print(options.json === true ? jsonText(grants, 2) : textOf(grants));
}

async function follow({ socket, all, json }: GrantsOptions): Promise<void> {
  using interrupts = watchInterrupts();
  const { signal } = interrupts;
  const changes = watchGrants({ ...(socket === undefined ? {} : { socket }), all: all === true, signal });
  for await (const change of changes) if (!print(json === true ? jsonText(change) : changeText(change))) break;
}

function changeText({ change, grant, reason }: GrantChange): string {
  if (grant === undefined) return 'No grants.\n';
  const { id, uid, pid, executable, fds, rule, targets } = grant;
  const why = reason === undefined ? '' : ` (${reason})`;
  const line = `${change}${why}: ${id} of uid ${uid}, pid ${pid} ${executable}: ${fds} fds by ${rule} on ${targets.join(', ')}`;
  return `${escapeName(line)}\n`;
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
