import type { Command } from 'commander';
import { capabilityBits, PROFILING_CAPABILITIES } from '../../model/identity/capabilities.js';
import { parsePids, parseInteger } from '../arguments.js';
import {
  addAuthorizationOption,
  mayPrompt,
  whileAuthorizing,
  type AuthorizationOptions,
} from '../authorization_prompt.js';
import { withBroker } from '../broker.js';
import { downgradedText } from '../downgraded_text.js';
import { printable, UsageError } from '../failure.js';
import { print } from '../output.js';

interface DowngradeOptions extends AuthorizationOptions {
  readonly socket?: string;
  readonly drop: string;
  readonly newPrivs: boolean;
  readonly children?: true;
  readonly dryRun?: true;
  readonly deadline?: string;
  readonly json?: true;
}

const HELP = `
Takes capabilities from a running process in all its threads. It can not be undone. Without --no-new-privs a process of
root gets them back when it executes a program. Children that were forked before keep what they have, but for
--children. See docs/downgrade.md for what else is not covered.

The daemon must have been started with --with-tracer, and the policy must allow it (by default
administrators may, and others where polkit authorizes it).

Examples:
  sudo perfbroker downgrade 1234 --dry-run
  sudo perfbroker downgrade 1234 --no-new-privs --children
  sudo perfbroker downgrade 1234 --drop all`;

export function define(command: Command): void {
  addAuthorizationOption(command)
    .argument('<PID>', 'the process')
    .option('--drop <LIST>', 'capabilities by name, or "all"', PROFILING_CAPABILITIES.join(','))
    .option('--no-new-privs', 'and set no_new_privs, so that no execve gives them back')
    .option('--children', 'its descendants of the same user, too')
    .option('--dry-run', 'only tell what would be taken, and what stands against it')
    .option(
      '--deadline <MS>',
      'how long it may stand still before anything is changed (default: 100; root: up to 10000)',
    )
    .option('-j, --json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (pid: string) => {
      await run(pid, command.optsWithGlobals<DowngradeOptions>());
    });
}

async function run(pidText: string, options: DowngradeOptions): Promise<void> {
  const [pid, ...others] = parsePids(pidText);
  if (pid === undefined || others.length > 0) throw new UsageError('one PID at a time');
  const drop = options.drop.split(',').map((name) => name.trim());
  for (const name of drop)
    if (capabilityBits(name) === undefined) throw new UsageError(`--drop: no capability ${name}`);
  const request = {
    target: { pid },
    drop,
    // commander reads --no-X as "X is false".
    noNewPrivs: !options.newPrivs,
    children: options.children === true,
    dryRun: options.dryRun === true,
    allowInteractive: mayPrompt(options),
    ...(options.deadline === undefined ? {} : { deadlineMs: parseInteger(options.deadline, '--deadline', 1, 10_000) }),
  };
  const processes = await withBroker(options.socket, (client) =>
    whileAuthorizing(request.allowInteractive, client.downgrade(request)),
  );
  print(
    printable(
      options.json === true ? `${JSON.stringify(processes, null, 2)}\n` : downgradedText(processes, request.dryRun),
    ),
  );
}
