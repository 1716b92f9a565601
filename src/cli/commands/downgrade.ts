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
import { UsageError } from '../failure.js';
import { print } from '../output.js';
import { jsonText } from '../text.js';

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
Removes capabilities from all threads of a running process. This cannot be undone. Without --no-new-privs, a process of
root regains them when it executes a program. Children that already exist keep their capabilities, except with
--children. See docs/downgrade.md for other limits.

The daemon must run with --with-tracer, and the policy must allow the downgrade. By default it allows administrators,
and other users with the authorization of polkit.

Examples:
  sudo perfbroker downgrade 1234 --dry-run
  sudo perfbroker downgrade 1234 --no-new-privs --children
  sudo perfbroker downgrade 1234 --drop all`;

export function define(command: Command): void {
  addAuthorizationOption(command)
    .argument('<PID>', 'process to downgrade')
    .option('--drop <LIST>', 'capabilities to remove, by name, or "all"', PROFILING_CAPABILITIES.join(','))
    .option('--no-new-privs', 'also set no_new_privs, so that no program it executes regains them')
    .option('--children', 'also downgrade its descendants of the same user')
    .option('--dry-run', 'only print what would be removed, and what would prevent it')
    .option(
      '--deadline <MS>',
      'maximum time that it may be stopped before anything is changed (default: 100; up to 10000 for root)',
    )
    .option('-j, --json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (pid: string) => {
      await run(pid, command.optsWithGlobals<DowngradeOptions>());
    });
}

async function run(pidText: string, options: DowngradeOptions): Promise<void> {
  const [pid, ...others] = parsePids(pidText);
  if (pid === undefined || others.length > 0) throw new UsageError(`'${pidText}' is not a single PID`);
  const drop = options.drop.split(',').map((name) => name.trim());
  for (const name of drop)
    if (capabilityBits(name) === undefined) throw new UsageError(`--drop: unknown capability ${name}`);
  const request = {
    target: { pid },
    drop,
    // commander strips the `no` of --no-new-privs.
    noNewPrivs: !options.newPrivs,
    children: options.children === true,
    dryRun: options.dryRun === true,
    allowInteractive: mayPrompt(options),
    ...(options.deadline === undefined ? {} : { deadlineMs: parseInteger(options.deadline, '--deadline', 1, 10_000) }),
  };
  const processes = await withBroker(options.socket, (client) =>
    whileAuthorizing(request.allowInteractive, client.downgrade(request)),
  );
  print(options.json === true ? jsonText(processes, 2) : downgradedText(processes, request.dryRun));
}
