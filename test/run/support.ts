/** `perfbroker run` for real: as root and as a user, with a broker, without one, and beside the same thing run bare. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PerfDataReader } from '#dist/formats/perfdata_reader.js';
import { ALICE, readableTree } from '../e2e/as_user.js';
import { noPrivilege } from '../e2e/daemon.js';
import { listenTo } from '../tools/said.js';

export { ALICE };

/** A socket that is nowhere: there is no broker. */
export const NO_BROKER = '/nonexistent/broker.sock';

/** Reason why these tests cannot run here, or null. */
export function unfit(): string | null {
  const privilege = noPrivilege();
  if (privilege !== null) return privilege;
  return spawnSync('gcc', ['--version']).error === undefined ? null : 'there is no gcc';
}

export function launcher(): string {
  return join(readableTree(), 'dist/bin/perfbroker');
}

/** A directory that belongs to a user. */
export function userDirectory(uid: number): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'perfbroker-run-'));
  chownSync(path, uid, uid);
  chmodSync(path, 0o755);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Setting {
  /** Absent: root. */
  readonly uid?: number;
  readonly cwd: string;
  readonly socket: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A session, and so a process group, of its own. */
  readonly detached?: boolean;
  /** Command that executes the program: `setpriv --inh-caps +perfmon`. */
  readonly before?: readonly string[];
}

export interface Ended {
  readonly pid: number;
  /** As a shell has it: 128 + N after signal N. */
  readonly code: number;
  readonly stdout: string;
  /** Complete: the collector holds standard error until it is done. */
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess & { readonly pid: number };
  readonly ended: Promise<Ended>;
  /** CMD's exit, which the collector's end follows. */
  readonly exited: Promise<void>;
  /** Resolves when standard output has it. */
  readonly printed: (pattern: RegExp) => Promise<void>;
  /** Resolves when standard error has it. */
  readonly complained: (pattern: RegExp) => Promise<void>;
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

export function start(setting: Setting, ...command: readonly string[]): Started {
  const [program = '', ...args] = [...(setting.before ?? []), ...command];
  const child = spawn(program, args, {
    cwd: setting.cwd,
    ...(setting.uid === undefined ? {} : { uid: setting.uid, gid: setting.uid }),
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', PERFBROKER_SOCKET: setting.socket, ...setting.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: setting.detached ?? false,
  });
  const [stdout, stderr] = [listenTo(child, 'stdout'), listenTo(child, 'stderr')];
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({
        pid: child.pid!,
        code: code ?? 128 + (SIGNALS[signal ?? ''] ?? 0),
        stdout: stdout.text(),
        stderr: stderr.text(),
      }),
    );
  });
  return { child: child as Started['child'], ended, exited, printed: stdout.match, complained: stderr.match };
}

export function end(setting: Setting, ...command: readonly string[]): Promise<Ended> {
  return start(setting, ...command).ended;
}

/** `perfbroker run` with these arguments. */
export function run(setting: Setting, ...args: readonly string[]): Promise<Ended> {
  return end(setting, launcher(), 'run', ...args);
}

export interface Recorded {
  readonly finished: boolean;
  readonly samples: number;
  /** Processes and threads that samples came from. */
  readonly processes: number;
  readonly threads: number;
  /** Names of the programs that were executed. */
  readonly programs: readonly string[];
}

export function readRecording(path: string): Recorded {
  const reader = new PerfDataReader(path);
  try {
    let samples = 0;
    const programs: string[] = [];
    const [pids, tids] = [new Set(), new Set()];
    for (const { record } of reader.records()) {
      if (record.kind === 'sample') {
        samples++;
        pids.add(record.pid);
        tids.add(record.tid);
      } else if (record.kind === 'comm' && record.exec) programs.push(record.comm);
    }
    return { finished: reader.finished, samples, processes: pids.size, threads: tids.size, programs };
  } finally {
    reader.close();
  }
}

/** The collector has come to its end; it may not be there yet. */
export function isFinished(path: string): boolean {
  try {
    return readRecording(path).finished;
  } catch {
    return false;
  }
}

/** Capability sets by the names of /proc/PID/status, in hexadecimal there. */
export function capabilitySets(status: string): Readonly<Record<string, bigint>> {
  return Object.fromEntries(
    [...status.matchAll(/^(Cap\w+):\t([0-9a-f]+)$/gm)].map(([, name = '', bits = '0']) => [name, BigInt(`0x${bits}`)]),
  );
}

/** include/uapi/linux/capability.h */
export const CAP = { netRaw: 1n << 13n, setpcap: 1n << 8n, sysAdmin: 1n << 21n, perfmon: 1n << 38n } as const;
