import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { BrokerError, type Client, type Grant } from '../../client/index.js';
import { MAX_TIMER_MS } from '../../common/timer.js';
import { parseSeconds } from '../arguments.js';
import { withBroker } from '../broker.js';
import { downgradedText } from '../downgraded_text.js';
import { watchInterrupts } from '../interrupts.js';
import { print } from '../output.js';
import { table } from '../text.js';

interface RedeemOptions {
  readonly socket?: string;
  readonly duration?: string;
}

const HELP = `
A ticket comes from Open or Downgrade of the D-Bus interface org.perfbroker.Broker1. It is valid once, for 30 seconds,
and for the user it was issued to. A ticket of Open: enables the events and prints their counts, summed over threads and
cpus, for events without \`group\` in their readFormat. A ticket of Downgrade: prints the removed capabilities.

Example:
  perfbroker redeem TICKET --duration 5`;

export function define(command: Command): void {
  command
    .argument('<TICKET>', 'ticket in the reply to Open or Downgrade')
    .option('--duration <S>', 'count for S seconds (default: until Ctrl-C)')
    .addHelpText('after', HELP)
    .action(async (ticket: string) => {
      await run(ticket, command.optsWithGlobals<RedeemOptions>());
    });
}

async function run(ticket: string, options: RedeemOptions): Promise<void> {
  const durationMs = options.duration === undefined ? undefined : parseSeconds(options.duration, '--duration');
  using interrupts = watchInterrupts();
  await withBroker(options.socket, async (client) => {
    const grant = await redeemOpen(client, ticket);
    print(
      grant === null
        ? downgradedText(await client.redeemDowngrade(ticket), false)
        : await counted(grant, durationMs, interrupts.signal),
    );
  });
}

/** @returns null when the ticket is not one of Open. A ticket of Downgrade stays valid. */
async function redeemOpen(client: Client, ticket: string): Promise<Grant | null> {
  try {
    return await client.redeem(ticket);
  } catch (error) {
    if (error instanceof BrokerError && error.error === 'NoSuchGrant') return null;
    throw error;
  }
}

async function counted(grant: Grant, durationMs: number | undefined, interrupt: AbortSignal): Promise<string> {
  for (const event of grant.events) event.enable();
  await delay(durationMs ?? MAX_TIMER_MS, undefined, { signal: interrupt }).catch(() => undefined);
  for (const event of grant.events) event.disable();
  const sums = new Map<number, bigint>();
  // The value comes first in every read_format without `group` (perf_event_open(2)).
  for (const event of grant.events) sums.set(event.event, (sums.get(event.event) ?? 0n) + (event.read()[0] ?? 0n));
  const rows = [...sums].map(([event, sum]) => [`event ${event}`, sum.toString()]);
  return table([['event', 'count'], ...rows], [1]);
}
