import type { CapabilitySets, DowngradedProcess, DowngradedThread } from '../client/index.js';
import { capabilityNames } from '../model/identity/capabilities.js';
import { escapeName } from '../common/quote.js';
import { table } from './text.js';

/** Text of `downgrade`: the capabilities that each process lost, with one line for all threads that lost the same. */
export function downgradedText(processes: readonly DowngradedProcess[], dryRun: boolean): string {
  return processes.map((each) => processText(each, dryRun)).join('');
}

function processText({ pid, executable, threads, stoppedMicroseconds }: DowngradedProcess, dryRun: boolean): string {
  const stopped = dryRun ? '' : `, stopped for ${(stoppedMicroseconds / 1000).toFixed(2)} ms`;
  const head = `${pid} ${escapeName(executable)}: ${threads.length} ${threads.length === 1 ? 'thread' : 'threads'}${stopped}\n`;
  const rows = groups(threads).map(({ tids, taken, left }) => [
    `  ${tids}`,
    dryRun ? 'would lose' : 'lost',
    taken,
    left,
  ]);
  return head + table(rows);
}

/** Groups threads that are alike. */
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

/** Capabilities in any set that gives privilege by itself; the bounding set does not. */
function held({ permitted, effective, inheritable, ambient }: CapabilitySets): bigint {
  return [permitted, effective, inheritable, ambient].reduce((bits, set) => bits | BigInt(`0x${set}`), 0n);
}
