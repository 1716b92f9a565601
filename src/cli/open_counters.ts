import type { Client } from '../client/index.js';
import { Counters } from '../collector/count/counting.js';
import type { CollectorTarget } from '../collector/event_opener.js';
import { BrokerError } from '../model/errors/errors.js';
import type { EventSpec } from '../model/event.js';
import { withCounting } from '../model/events/event_defaults.js';
import { promptingOpener } from './authorization_prompt.js';
import { defaultEvents, userModeOf } from './stat_events.js';

/** A request to count, before it is known which of the default events the policy allows. */
export interface CountRequest {
  readonly targets: readonly CollectorTarget[];
  readonly cpus?: readonly number[];
  /** Absent: the default events. */
  readonly events?: readonly EventSpec[];
  readonly inherit: boolean;
  readonly enableOnExec: boolean;
  /** True when the user may be prompted for authorization. */
  readonly interactive: boolean;
  readonly interrupt: AbortSignal;
  /** Path of the broker's socket, where the user gave one. */
  readonly socket?: string;
}

export interface OpenedCounters {
  readonly counters: Counters;
  /** As named, one for each count. */
  readonly events: readonly EventSpec[];
}

/**
 * Opens counters. The default events include kernel mode where the policy allows it, as perf's do, and user mode alone
 * where it does not.
 */
export async function openCounters(client: Client, request: CountRequest): Promise<OpenedCounters> {
  const { targets, cpus, inherit, enableOnExec, interrupt, socket } = request;
  const open = async (events: readonly EventSpec[], interactive: boolean): Promise<OpenedCounters> => {
    const counters = await Counters.open(promptingOpener(client, interactive, interrupt, socket), {
      targets,
      events: withCounting(events, { inherit, enableOnExec }),
      ...(cpus === undefined ? {} : { cpus }),
    });
    return { counters, events };
  };
  if (request.events !== undefined) return open(request.events, request.interactive);
  const events = await defaultEvents(client);
  try {
    // Without a prompt: the user did not ask for kernel mode.
    return await open(events, false);
  } catch (error) {
    if (!(error instanceof BrokerError) || !['PolicyDenied', 'CeilingExceeded'].includes(error.error)) throw error;
    return open(userModeOf(events), request.interactive);
  }
}
