/** A real perfbrokerd on a private socket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openFds } from '../tools/fds_of.js';
import { listenTo } from '../tools/said.js';

export const ROOT: string = new URL('../../../', import.meta.url).pathname;
export const PERFBROKERD: string = join(ROOT, 'dist/bin/perfbrokerd');

/** Every user may count and sample own processes in user mode; administrators may do everything. */
export const OPEN_POLICY = `
[[rule]]
name = "administrators"
verdict = "allow"
subjects = { administrator = true }
targets = { any_user = true, system = true, any_cgroup = true }
classes = "all"

[[rule]]
name = "own"
verdict = "allow"
subjects = { everyone = true }
targets = { same_user = true }
classes = ["user", "raw", "breakpoint"]
limits = { frequency = 4000, ring = "16 MiB", fds = 1024, grants = 32 }
`;

export interface Daemon {
  readonly directory: string;
  readonly socket: string;
  readonly policyFile: string;
  readonly child: ChildProcess;
  /** Pids of the parts, by what they are. */
  readonly parts: { readonly monitor: number; readonly opener: number; readonly broker: number };
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  log(): string;
  audit(): Record<string, unknown>[];
  /** Resolves when `pattern` stands in the log after the first `from` characters. */
  logged(pattern: RegExp, from?: number): Promise<void>;
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface DaemonOptions {
  /** By default the perfbrokerd of this checkout. */
  readonly program?: string;
  readonly policy?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly audit?: string;
  /** Its socket; by default one in a directory of its own. */
  readonly socket?: string;
  /** Its /etc/subuid. */
  readonly subuid?: string;
  /** Its /etc/passwd. */
  readonly passwd?: string;
}

export async function startDaemon({
  program: perfbrokerd = PERFBROKERD,
  policy = OPEN_POLICY,
  args = [],
  env = {},
  audit,
  socket: path,
  subuid,
  passwd,
}: DaemonOptions = {}): Promise<Daemon> {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-test-'));
  chmodSync(directory, 0o755);
  const socket = path ?? join(directory, 'broker.sock');
  const policyFile = join(directory, 'policy.toml');
  const auditFile = audit ?? join(directory, 'audit.log');
  writeFileSync(policyFile, policy);
  const command = [perfbrokerd, '--policy', policyFile, '--socket', socket, '--audit', auditFile, ...args];
  const [program = '', ...rest] = [
    ...withFile(directory, '/etc/subuid', subuid),
    ...withFile(directory, '/etc/passwd', passwd),
    ...command,
  ];
  const child = spawn(program, rest, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  const log = listenTo(child, 'stderr');
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  const stop = async (): Promise<{ code: number | null; signal: NodeJS.Signals | null }> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const ended = await exit;
    rmSync(directory, { recursive: true, force: true });
    return ended;
  };
  try {
    await log.match(/serving on/);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  const monitor = child.pid!;
  const children = childrenOf(monitor);
  const broker = children.find((pid) => commandLine(pid).includes('broker/main.js'))!;
  const opener = children.find((pid) => pid !== broker)!;
  return {
    directory,
    socket,
    policyFile,
    child,
    parts: { monitor, opener, broker },
    exit,
    log: log.text,
    audit: () =>
      readFileSync(auditFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    logged: log.match,
    stop,
  };
}

/**
 * Prefix for a command that finds this text under `path`: it has a mount namespace of its own. Each program executes the next
 * in its place, so that the pid stays. Empty when there is no text.
 */
export function withFile(directory: string, path: string, text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const file = join(directory, basename(path));
  writeFileSync(file, text);
  return ['unshare', '--mount', 'sh', '-c', `mount --bind "$0" ${path} && exec "$@"`, file];
}

export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);
}

export function commandLine(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
}

/** Stops a helper process and all of its workers: first the one that makes workers. */
export function stopHelper(helper: number): void {
  process.kill(helper, 'SIGSTOP');
  signalWorkers(helper, 'SIGSTOP');
}

export function continueHelper(helper: number): void {
  signalWorkers(helper, 'SIGCONT');
  process.kill(helper, 'SIGCONT');
}

function signalWorkers(helper: number, signal: NodeJS.Signals): void {
  for (const worker of childrenOf(helper)) {
    try {
      process.kill(worker, signal);
    } catch {
      // It has ended.
    }
  }
}

/**
 * Waits until a request lies before the stopped opener, decided: the broker then has four more fds, the connection, the
 * target's pidfd, the duplicate of the connection that goes along, and the channel of the request. Gives up silently after ten seconds.
 * @param before {@link settledFds} of the broker before the request
 */
export async function requestDecided(broker: number, before: number): Promise<void> {
  for (let tries = 0; tries < 500 && openFds(broker) < before + 4; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Reason why privileged tests cannot run here, or null. */
export function noPrivilege(): string | null {
  return process.getuid?.() === 0 ? null : 'needs root';
}

/** Logs the reason why this machine cannot run a test, and passes the test. */
export function skip(t: { log(text: string): void; pass(text: string): void }, reason: string): void {
  t.log(`skipped: ${reason}`);
  t.pass(reason);
}
