import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { BrokerError, type Client, type Grant } from '../../client/index.js';
import { MAX_TIMER_MS } from '../../common/timer.js';
import { parseSeconds } from '../arguments.js';
import { withBroker } from '../broker.js';
import { downgradedText } from '../downgraded_text.js';
import { printable } from '../failure.js';
import { watchInterrupts } from '../interrupts.js';
import { print } from '../output.js';
import { table } from '../text.js';

interface RedeemOptions {
  readonly socket?: string;
  readonly duration?: string;
}

const HELP = `
A ticket comes from the D-Bus interface (org.perfbroker.Broker1, Open or Downgrade), is good once, for the user that it was
made for, and for 30 seconds. One of Open: the events are switched on, and what they counted is printed, summed over
threads and cpus (for events without \`group\` in their readFormat: the others are for programs to read).
One of Downgrade: what was taken is printed.

Example:
  perfbroker redeem TICKET --duration 5`;

export function define(command: Command): void {
  command
    .argument('<TICKET>', 'as Open or Downgrade on D-Bus answered it')
    .option('--duration <S>', 'count for so many seconds (default: until Ctrl-C)')
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
      printable(
        grant === null
          ? downgradedText(await client.redeemDowngrade(ticket), false)
          : await counted(grant, durationMs, interrupts.signal),
      ),
    );
  });
}

/** @returns null when it is no ticket of Open: it may be one of Downgrade, for which being asked costs nothing */
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
  // The value comes first, and whatever else the event's read_format has follows; with `group` in it a count of events does.
  for (const event of grant.events) sums.set(event.event, (sums.get(event.event) ?? 0n) + (event.read()[0] ?? 0n));
  const rows = [...sums].map(([event, sum]) => [`event ${event}`, sum.toString()]);
  return table([['event', 'count'], ...rows], [1]);
}
