/** Whether polkit may ask a human for a command, and what is shown while it does. */
import { isatty } from 'node:tty';
import type { Command } from 'commander';
import type { Client } from '../client/index.js';
import type { EventGrant, EventOpener, OpenEvents } from '../collector/event_opener.js';
import { ExitCode, Failure } from './failure.js';
import { printError } from './output.js';

export interface AuthorizationOptions {
  /** commander reads --no-ask as "ask is false". */
  readonly ask: boolean;
}

export function addAuthorizationOption(command: Command): Command {
  return command.option('--no-ask', 'never have a human asked (polkit); without a terminal nobody is, either');
}

export function mayPrompt({ ask }: AuthorizationOptions): boolean {
  return ask && isatty(2);
}

const SILENT_MS = 1000;

/** Says so when the answer takes long and a human may be the reason. */
export async function whileAuthorizing<T>(interactive: boolean, answer: Promise<T>): Promise<T> {
  const timer = interactive
    ? setTimeout(() => {
        printError('Waiting for authorization (polkit) ...\n');
      }, SILENT_MS)
    : undefined;
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Opens events, with questions when there may be any. An interrupt gives up the connection, which takes the question back.
 * @param interrupt absent: a signal simply ends the process
 */
export function promptingOpener(client: Client, interactive: boolean, interrupt?: AbortSignal): EventOpener {
  return {
    open: async (request: OpenEvents): Promise<EventGrant> => {
      const onAbort = (): void => void client.close();
      interrupt?.addEventListener('abort', onAbort, { once: true });
      try {
        return await whileAuthorizing(interactive, client.open({ ...request, allowInteractive: interactive }));
      } catch (error) {
        if (interrupt?.aborted === true)
          throw new Failure('interrupted before the events were open', '', '', ExitCode.interrupted);
        throw error;
      } finally {
        interrupt?.removeEventListener('abort', onAbort);
      }
    },
  };
}
