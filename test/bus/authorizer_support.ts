/** The authorizer in a process of perfbroker-bus, asked over its socket; and processes and agents of other users. */
import type { ChildProcess } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PolkitOptions } from '#dist/bus/polkit/polkit.js';
import { native } from '#dist/native.js';
import type { CheckParameters, CheckReply, Subject } from '#dist/interfaces/authorizer_types.js';
import { AUTHORIZER_INTERFACE } from '#dist/interfaces/authorizer_interface.js';
import { Channel } from '#dist/varlink/channel.js';
import { readableTree } from '../e2e/as_user.js';
import { USERS, type PrivateBus, type User } from './private_bus.js';
import { listenTo } from '../tools/said.js';

export interface AuthorizerProcess {
  readonly socket: string;
  readonly child: ChildProcess;
  /** Its unique name on the bus. */
  readonly busName: string;
  readonly log: () => string;
  readonly logged: (pattern: RegExp) => Promise<void>;
}

let count = 0;

export async function startAuthorizerProcess(
  bus: PrivateBus,
  options: PolkitOptions = {},
  user: User = 'perfbroker-bus',
): Promise<AuthorizerProcess> {
  const directory = join(bus.directory, `authorizer-${++count}`);
  mkdirSync(directory);
  chownSync(directory, USERS[user], USERS[user]);
  const socket = join(directory, 'authorizer.sock');
  const program = join(readableTree(), 'build/test/bus/authorizer_program.js');
  const child = bus.spawn([process.execPath, program, socket, JSON.stringify(options)], {
    user,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const log = listenTo(child, 'stderr');
  await log.match(/ready :/);
  return { socket, child, busName: /ready (:\S+)/.exec(log.text())?.[1] ?? '', log: log.text, logged: log.match };
}

/** Answer of the authorizer, or the error with its message. */
export type Outcome = CheckReply | { readonly error: string; readonly message: string };

/** Message of an Unavailable, or the outcome in its place. */
export function unavailable(outcome: Outcome): string {
  return 'error' in outcome && outcome.error === 'Unavailable'
    ? outcome.message
    : `not unavailable: ${JSON.stringify(outcome)}`;
}

export interface OpenQuestion {
  readonly outcome: Promise<Outcome>;
  /** Hangs up. */
  takeBack(): void;
}

class ReplyError extends Error {
  readonly error: string;
  constructor(error: string, parameters: Record<string, unknown>) {
    super(String(parameters['message'] ?? parameters['parameter']));
    this.error = error.slice(error.lastIndexOf('.') + 1);
  }
}

const LIMITS = { messageBytes: 65_536, maxFdsPerMessage: 0, depth: 8, queuedBytes: 65_536, queuedFds: 0 };

export function open(socket: string, question: Partial<CheckParameters> & { readonly subject: Subject }): OpenQuestion {
  const channel = new Channel({
    socket: native.connectUnix(socket),
    definition: AUTHORIZER_INTERFACE,
    limits: LIMITS,
    errors: {
      fromReply: (error, parameters) => new ReplyError(error, parameters),
      closed: (detail) => new ReplyError('.closed', { message: detail }),
      unexpected: (detail) => new ReplyError('.unexpected', { message: detail }),
      timedOut: () => new ReplyError('.timed-out', {}),
    },
  });
  const parameters = { action: 'org.perfbroker.sample-own', details: {}, interactive: false, ...question };
  const outcome = channel
    .call('Check', parameters, { timeoutMs: 30_000 })
    .then(
      ([reply]): Outcome => reply?.parameters as unknown as CheckReply,
      (error: unknown): Outcome => {
        if (!(error instanceof ReplyError)) throw error;
        return { error: error.error, message: error.message };
      },
    )
    .finally(() => channel.close());
  return { outcome, takeBack: () => channel.close() };
}

export function ask(
  socket: string,
  question: Partial<CheckParameters> & { readonly subject: Subject },
): Promise<Outcome> {
  return open(socket, question).outcome;
}

/** A process of `user` that just is there. */
export async function startSubject(bus: PrivateBus, user: User): Promise<Subject> {
  const child = bus.spawn(['sleep', '600'], { user, stdio: 'ignore' });
  const pid = child.pid!;
  // The start time stays the same over exec; the uid does not.
  while (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep')) await sleep(2);
  return { uid: USERS[user], pid, startTime: startTimeOf(pid) };
}

export function startTimeOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

export interface AgentEvent {
  readonly event: 'registered' | 'begin' | 'cancel' | 'error';
  readonly message?: string;
  readonly action?: string;
  readonly text?: string;
  readonly details?: Readonly<Record<string, string>>;
  readonly cookie?: string;
}

export interface Agent {
  next(): Promise<AgentEvent>;
  /** Ends the dialog. */
  say(how: 'done' | 'dismiss'): void;
}

/** An authentication agent for the process of `subject`, run by `user`. */
export async function startAgent(
  bus: PrivateBus,
  user: User,
  { pid, startTime }: Subject,
  locale = 'en_US.UTF-8',
): Promise<Agent> {
  const program = join(readableTree(), 'build/test/bus/agent_program.js');
  const child = bus.spawn([process.execPath, program, String(pid), startTime, locale], {
    user,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async (): Promise<AgentEvent> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the agent ended');
    return JSON.parse(line.value) as AgentEvent;
  };
  const first = await next();
  if (first.event !== 'registered') throw new Error(`the agent could not register: ${first.message ?? ''}`);
  return { next, say: (how) => void child.stdin?.write(`${how}\n`) };
}
