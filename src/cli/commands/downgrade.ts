import type { Command } from 'commander';
import type { CapabilitySets, DowngradedProcess, DowngradedThread } from '../../client/index.js';
import { capabilityBits, capabilityNames, PROFILING_CAPABILITIES } from '../../model/capabilities.js';
import { parsePids, parseWhole } from '../arguments.js';
import { withBroker } from '../broker.js';
import { printable, UsageError } from '../failure.js';
import { table } from '../text.js';
import { print } from '../output.js';

interface DowngradeOptions {
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

The daemon must have been started with --with-tracer, and the policy must allow it (by default: administrators).

Examples:
  sudo perfbroker downgrade 1234 --dry-run
  sudo perfbroker downgrade 1234 --no-new-privs --children
  sudo perfbroker downgrade 1234 --drop all`;

export function define(command: Command): void {
  command
    .argument('<PID>', 'the process')
    .option('--drop <LIST>', 'capabilities by name, or "all"', PROFILING_CAPABILITIES.join(','))
    .option('--no-new-privs', 'and set no_new_privs, so that no execve gives them back')
    .option('--children', 'its descendants of the same user, too')
    .option('--dry-run', 'only tell what would be taken, and what stands against it')
    .option('--deadline <MS>', 'how long it may stand still before anything is changed (default: 100)')
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
    ...(options.deadline === undefined ? {} : { deadlineMs: parseWhole(options.deadline, '--deadline', 1, 10_000) }),
  };
  const processes = await withBroker(options.socket, (client) => client.downgrade(request));
  const text = options.json === true ? `${JSON.stringify(processes, null, 2)}\n` : textOf(processes, request.dryRun);
  print(printable(text));
}

function textOf(processes: readonly DowngradedProcess[], dryRun: boolean): string {
  return processes.map((each) => processText(each, dryRun)).join('');
}

function processText({ pid, executable, threads, stoppedMicroseconds }: DowngradedProcess, dryRun: boolean): string {
  const stopped = dryRun ? '' : `, stopped for ${(stoppedMicroseconds / 1000).toFixed(2)} ms`;
  const head = `${pid} ${executable}: ${threads.length} ${threads.length === 1 ? 'thread' : 'threads'}${stopped}\n`;
  const rows = groups(threads).map(({ tids, taken, left }) => [
    `  ${tids}`,
    dryRun ? 'would lose' : 'lost',
    taken,
    left,
  ]);
  return head + table(rows);
}

/** Threads that are alike make one line. */
function groups(threads: readonly DowngradedThread[]): { tids: string; taken: string; left: string }[] {
  const alike = new Map<string, DowngradedThread[]>();
  for (const thread of threads) {
    const key = `${held(thread.had)} ${held(thread.has)} ${thread.noNewPrivs}`;
    const others = alike.get(key);
    if (others === undefined) alike.set(key, [thread]);
    else others.push(thread);
  }
  return [...alike.values()].map((same) => {
    const [first] = same as [DowngradedThread];
    return {
      tids: same.length === 1 ? `thread ${first.tid} (${first.name})` : `${same.length} threads`,
      taken: listed(held(first.had) & ~held(first.has)) || 'nothing',
      left: `and ${first.noNewPrivs ? 'has no_new_privs and' : 'has'} ${listed(held(first.has)) || 'no capability'} left`,
    };
  });
}

function listed(bits: bigint): string {
  const names = capabilityNames(bits);
  return names.length > 4 ? `${names.length} capabilities` : names.join(',');
}

/** The sets that give something by themselves; the bounding set does not. */
function held({ permitted, effective, inheritable, ambient }: CapabilitySets): bigint {
  return [permitted, effective, inheritable, ambient].reduce((bits, set) => bits | BigInt(`0x${set}`), 0n);
}
