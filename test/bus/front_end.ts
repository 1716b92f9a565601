/** A real perfbroker-bus on a private bus, under its own uid, and what speaks to it. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import dbus from 'dbus-next';
import type { Fd } from '#dist/native.js';
import { readableTree } from '../e2e/as_user.js';
import type { PrivateBus, User } from './private_bus.js';
import { listenTo } from '../tools/said.js';

export const NAME = 'org.perfbroker.Broker1';
export const PATH = '/org/perfbroker/Broker1';
export const POLICY_FILES: readonly string[] = ['dbus/org.perfbroker.Broker1.conf'];

/** The node that runs the tests is the first that the program finds. */
const PATH_WITH_NODE = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;

export interface FrontEnd {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  log(): string;
  /** Resolves when `pattern` stands in the log. */
  logged(pattern: RegExp): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface FrontEndOptions {
  /** The broker's. */
  readonly socket: string;
  /** Directory of the program; by default this checkout. */
  readonly tree?: string;
  readonly args?: readonly string[];
  readonly user?: User;
  readonly env?: Readonly<Record<string, string>>;
  /** Passed on as systemd does it; stays the caller's. */
  readonly listener?: Fd;
}

/** Starts it; resolved when it has its name. It ends with the bus. */
export async function startFrontEnd(bus: PrivateBus, options: FrontEndOptions): Promise<FrontEnd> {
  const frontEnd = launchFrontEnd(bus, options);
  await frontEnd.logged(/serving org/);
  return frontEnd;
}

/** Starts it and does not wait. */
export function launchFrontEnd(
  bus: PrivateBus,
  { socket, tree = readableTree(), args = [], user = 'perfbroker-bus', env = {}, listener }: FrontEndOptions,
): FrontEnd {
  const child = bus.spawn(
    [
      ...(listener === undefined ? [] : ['sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', 'sh']),
      join(tree, 'dist/bin/perfbroker-bus'),
      '--socket',
      socket,
      '--log-level',
      'debug',
      ...args,
    ],
    {
      user,
      env: { PATH: PATH_WITH_NODE, ...env },
      stdio: ['ignore', 'ignore', 'pipe', ...(listener === undefined ? [] : [listener])],
    },
  );
  const log = listenTo(child, 'stderr');
  const exit = once(child, 'close').then(([code, signal]) => {
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  return {
    child,
    exit,
    log: log.text,
    logged: log.match,
    stop: (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return exit;
    },
  };
}

/** Object, interface and flags of a call; by default those of the broker object. */
export interface CallOptions {
  readonly path?: string;
  readonly interface?: string;
  readonly flags?: number;
}

/** Calls the front end with the identity of the connection. @throws DBusError */
export async function call(
  bus: dbus.MessageBus,
  member: string,
  signature = '',
  body: unknown[] = [],
  { path = PATH, interface: from = NAME, flags = 0 }: CallOptions = {},
): Promise<unknown[]> {
  const message = new dbus.Message({ destination: NAME, path, interface: from, member, signature, body, flags });
  const reply = await bus.call(message);
  return (reply?.body ?? []) as unknown[];
}

export function v(signature: string, value: unknown): dbus.Variant<unknown> {
  return new dbus.Variant(signature, value);
}

/** Targets and events of a request that any policy can judge. */
export function request(pid: number): [unknown[], unknown[], Record<string, unknown>] {
  return [[{ kind: v('s', 'process'), pid: v('u', pid) }], [{ name: v('s', 'task-clock:u') }], {}];
}

/** Resident memory, MiB. */
export function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024;
}

/** The types of dbus-next forget it. */
export function uniqueName(bus: dbus.MessageBus): string {
  return (bus as unknown as { readonly name: string }).name;
}
