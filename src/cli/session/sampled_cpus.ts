/** Cpus to observe, as the broker reports them: a container may hide /sys from this process, or show it fewer cpus. */
import type { Client } from '../../client/index.js';
import { UsageError } from '../failure.js';

/** The cpus of a session, and the number of cpus that are online. */
export interface SampledCpus {
  readonly cpus: readonly number[];
  readonly cpusOnline: number;
}

/**
 * Returns the cpus of -C, or else every online cpu.
 * @throws UsageError for a cpu that is not online
 */
export async function sampledCpus(
  client: Pick<Client, 'describe'>,
  asked: readonly number[] | undefined,
): Promise<SampledCpus> {
  const { onlineCpus } = await client.describe();
  const absent = asked?.filter((cpu) => !onlineCpus.includes(cpu)) ?? [];
  if (absent.length > 0) throw new UsageError(`--cpu: not online: ${absent.join(', ')}`);
  return { cpus: asked ?? onlineCpus, cpusOnline: onlineCpus.length };
}

/** Checks the cpus of -C for a session that needs no list without it. @throws UsageError */
export async function requireOnline(
  client: Pick<Client, 'describe'>,
  asked: readonly number[] | undefined,
): Promise<void> {
  if (asked !== undefined) await sampledCpus(client, asked);
}
