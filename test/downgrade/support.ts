/** A daemon with a tracer, and processes to take capabilities from. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import {
  connect,
  BrokerError,
  type Client,
  type DowngradedProcess,
  type DowngradeRequest,
} from '#dist/client/index.js';
import { childrenOf, startDaemon, type Daemon, type DaemonOptions } from '../e2e/daemon.js';

/** Administrators may do everything; everyone may downgrade what belongs to uid 60123. */
export const DOWNGRADE_POLICY = `
[[rule]]
name = "administrators"
verdict = "allow"
subjects = { administrator = true }
targets = { any_user = true }
classes = "all"
mode = ["counting", "sampling", "downgrade"]

[[rule]]
name = "own"
verdict = "allow"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user"]

[[rule]]
name = "of-60123"
verdict = "allow"
subjects = { everyone = true }
targets = { users = [60123] }
mode = ["downgrade"]
`;

export const startTracing = (options: DaemonOptions = {}): Promise<Daemon> =>
  startDaemon({ policy: DOWNGRADE_POLICY, ...options, args: ['--with-tracer', ...(options.args ?? [])] });

export function tracerOf(daemon: Daemon): number {
  const found = childrenOf(daemon.parts.monitor).find((pid) => statusOf(pid).get('Name') === 'pb-tracer');
  if (found === undefined) throw new Error('there is no tracer');
  return found;
}

/** A child whose lines can be waited for. It ends with its standard input. */
export interface Target {
  readonly pid: number;
  readonly child: ChildProcess;
  line(): Promise<string>;
  /** Everything that it has printed and not been asked for, and its end; standard input gets a newline and ends. */
  end(): Promise<{ readonly lines: readonly string[]; readonly code: number | null; readonly signal: string | null }>;
  kill(): void;
}

/** Started as root, with every capability, and waited for until it has printed a first line. */
export async function startTarget(file: string, ...args: readonly string[]): Promise<Target> {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  child.stdin.on('error', () => {});
  const line = async (): Promise<string> => {
    const next = await lines.next();
    if (next.done === true) throw new Error(`${file} ended: ${JSON.stringify(await ended)}`);
    return next.value;
  };
  const target: Target = {
    pid: child.pid!,
    child,
    line,
    end: async () => {
      child.stdin.end('\n');
      const rest: string[] = [];
      for (let next = await lines.next(); next.done !== true; next = await lines.next()) rest.push(next.value);
      return { lines: rest, ...(await ended) };
    },
    kill: () => void child.kill('SIGKILL'),
  };
  const first = await line();
  if (first !== 'ready') throw new Error(`${file} said ${first}`);
  return target;
}

/** `Name:\tvalue` lines of a thread's or process's status. */
export function statusOf(pid: number, tid = pid): ReadonlyMap<string, string> {
  const text = readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1');
  return new Map(
    text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}

/** Threads that still have something of `bits`, or not no_new_privs where it is wanted. */
export function keepers(pid: number, bits: bigint, noNewPrivs = false): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => {
      try {
        const status = statusOf(pid, tid);
        if (/^[ZX]/.test(status.get('State') ?? '')) return false;
        const held = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].reduce(
          (sum, set) => sum | BigInt(`0x${status.get(set)}`),
          0n,
        );
        return (held & bits) !== 0n || (noNewPrivs && status.get('NoNewPrivs') !== '1');
      } catch {
        return false; // it has ended
      }
    });
}

/** Answer to a request: the processes, or `Error code`. */
export async function ask(client: Client, request: DowngradeRequest): Promise<readonly DowngradedProcess[] | string> {
  try {
    return await client.downgrade(request);
  } catch (error) {
    if (error instanceof BrokerError) return `${error.error} ${error.code}`;
    throw error;
  }
}

export const open = (daemon: Daemon): Promise<Client> => connect({ socket: daemon.socket });

export const PERFMON = 1n << 38n;
export const ADMIN = 1n << 21n;
export const ALL = (1n << 64n) - 1n;
export const PROFILING: readonly string[] = ['CAP_PERFMON', 'CAP_SYS_ADMIN'];
