/** The prompt for authorization: when polkit may show one for a command, and the line printed while it does. */
import type { Command } from 'commander';
import type { Client } from '../client/index.js';
import type { EventGrant, EventOpener, OpenEvents } from '../collector/event_opener.js';
import { stderrIsTerminal } from './command_parent.js';
import { ExitCode, Failure } from './failure.js';
import { printError } from './output.js';

export interface AuthorizationOptions {
  /** False with --no-ask: commander strips the `no`. */
  readonly ask: boolean;
}

export function addAuthorizationOption(command: Command): Command {
  return command.option(
    '--no-ask',
    'never prompt for authorization (polkit); implied when standard error is not a terminal',
  );
}

export function mayPrompt({ ask }: AuthorizationOptions): boolean {
  return ask && stderrIsTerminal();
}

/** An answer without a prompt comes sooner. */
const NOTICE_MS = 1000;

/** Waits for an answer, with a notice when it takes long because a user may have been prompted. */
export async function whileAuthorizing<T>(interactive: boolean, answer: Promise<T>): Promise<T> {
  const timer = interactive
    ? setTimeout(() => {
        printError('Waiting for authorization (polkit) ...\n');
      }, NOTICE_MS)
    : undefined;
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Opens events, with a prompt for authorization where one is allowed. An interrupt closes the connection, which withdraws
 * the prompt.
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
          throw new Failure('interrupted before the events were opened', '', '', ExitCode.interrupted);
        throw error;
      } finally {
        interrupt?.removeEventListener('abort', onAbort);
      }
    },
  };
}
