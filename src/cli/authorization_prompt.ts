/** The prompt for authorization: when polkit may show one for a command, and the line printed while it does. */
import type { Command } from 'commander';
import { connect, type Client } from '../client/index.js';
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

/** Circumstances of a notice. */
export interface NoticeOptions {
  /** Returns whether the request needs authorization at all. Default: it may. */
  readonly isAsked?: () => Promise<boolean>;
  /** For tests. */
  readonly afterMs?: number;
  readonly print?: (text: string) => unknown;
}

/** Waits for an answer, with a notice when it takes long because a user has been prompted. */
export async function whileAuthorizing<T>(
  interactive: boolean,
  answer: Promise<T>,
  { isAsked = () => Promise.resolve(true), afterMs = NOTICE_MS, print = printError }: NoticeOptions = {},
): Promise<T> {
  let isOver = false;
  const notice = async (): Promise<void> => {
    if ((await isAsked()) && !isOver) print('Waiting for authorization (polkit) ...\n');
  };
  const timer = interactive ? setTimeout(() => void notice().catch(() => undefined), afterMs) : undefined;
  try {
    return await answer;
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}

/**
 * Returns whether a rule asks about the request. The broker answers a connection's calls one after the other, and the request is under
 * way on the first one: so this is asked on another.
 */
async function isAskedAbout(request: OpenEvents, socket: string | undefined): Promise<boolean> {
  await using client = await connect(socket === undefined ? {} : { socket });
  return (await client.explain(request)).verdict === 'ask';
}

/**
 * Opens events, with a prompt for authorization where one is allowed. An interrupt closes the connection, which withdraws
 * the prompt.
 * @param interrupt absent: a signal simply ends the process
 * @param socket path of the broker's socket, as given by the user
 */
export function promptingOpener(
  client: Client,
  interactive: boolean,
  interrupt?: AbortSignal,
  socket?: string,
): EventOpener {
  return {
    open: async (request: OpenEvents): Promise<EventGrant> => {
      const onAbort = (): void => void client.close();
      interrupt?.addEventListener('abort', onAbort, { once: true });
      try {
        return await whileAuthorizing(interactive, client.open({ ...request, allowInteractive: interactive }), {
          isAsked: () => isAskedAbout(request, socket),
        });
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
