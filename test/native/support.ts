import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { native, type Fd } from '#dist/native.js';

/** PERF_COUNT_SW_* */
export const CPU_CLOCK = 0;
export const PAGE_FAULTS = 2;
/** PERF_SAMPLE_*: IP, TID, TIME. */
export const SAMPLE_IP_TID_TIME = 0x7;
export const FORMAT_LOST = 0x10;

export interface AttrOptions {
  readonly config: number;
  readonly period?: number;
  readonly sampleType?: number;
  readonly readFormat?: number;
  /** Bytes; absent: the kernel's default, half of the ring. */
  readonly wakeupBytes?: number;
  readonly wakeupEvents?: number;
  /** Further bits of the bit field, as attr.comm. */
  readonly bits?: bigint;
}

/** A struct perf_event_attr of 128 bytes (PERF_ATTR_SIZE_VER7) for a software event, disabled, in user mode only. */
export function softwareAttr(options: AttrOptions): Uint8Array {
  const DISABLED = 1n << 0n;
  const EXCLUDE_KERNEL = 1n << 5n;
  const EXCLUDE_HV = 1n << 6n;
  const WATERMARK = 1n << 14n;
  const attr = new Uint8Array(128);
  new Uint32Array(attr.buffer).set([1, 128], 0);
  new BigUint64Array(attr.buffer).set(
    [
      BigInt(options.config),
      BigInt(options.period ?? 0),
      BigInt(options.sampleType ?? (options.period === undefined ? 0 : SAMPLE_IP_TID_TIME)),
      BigInt(options.readFormat ?? 0),
      DISABLED |
        EXCLUDE_KERNEL |
        EXCLUDE_HV |
        (options.wakeupBytes === undefined ? 0n : WATERMARK) |
        (options.bits ?? 0n),
    ],
    1,
  );
  new Uint32Array(attr.buffer).set([options.wakeupBytes ?? options.wakeupEvents ?? 0], 12);
  return attr;
}

export function openSoftware(options: AttrOptions, pid: number, cpu = -1): Fd {
  return native.perfEventOpen(softwareAttr(options), pid, cpu, -1, 0);
}

/** The numbers of this process's open fds. */
export function openFds(): number[] {
  // The directory itself is open while it is read, and the lowest free number is its own: it is gone afterwards.
  return readdirSync('/proc/self/fd').map(Number);
}

export function isCloseOnExec(fd: Fd): boolean {
  const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '';
  return (parseInt(flags, 8) & 0o2000000) !== 0;
}

/** Every fd is closed at the end of the test. */
export function closeLater(t: ExecutionContext, ...fds: readonly Fd[]): void {
  t.teardown(() => {
    for (const fd of fds) native.close(fd);
  });
}

/** A directory that others may enter, removed at the end of the test. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-test-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Uses up `milliseconds` of this process's user time: however busy the machine is, that much is there to sample. */
export function burn(milliseconds: number): void {
  const before = process.cpuUsage();
  while (process.cpuUsage(before).user < milliseconds * 1000) {
    // Mostly here, and not in the system call: events count user mode only.
    for (let i = 0; i < 20_000; i++) Math.sqrt(i);
  }
}

/** A child that waits for a line on its standard input and then runs `script` (sh); killed at the end of the test. */
export function waitingShell(t: ExecutionContext, script: string): ChildProcess & { readonly pid: number } {
  const child = spawn('sh', ['-c', `read line; ${script}`], { stdio: ['pipe', 'ignore', 'inherit'] });
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  if (child.pid === undefined) throw new Error('sh did not start');
  return child as ChildProcess & { readonly pid: number };
}

export function release(child: ChildProcess): void {
  child.stdin?.end('go\n');
}

export interface RunResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
}

/** Runs node on a script in a process of its own: what ends, or breaks, there ends there. */
export async function runNode(args: readonly string[], command: readonly string[] = []): Promise<RunResult> {
  const [program = process.execPath, ...rest] = [...command, process.execPath, ...args];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000, killSignal: 'SIGKILL' });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, output };
}

/** The addon's module, for scripts of {@link runNode} (`--input-type=module -e`). */
export const NATIVE_URL = import.meta.resolve('#dist/native.js');

export function runModule(source: string, command: readonly string[] = []): Promise<RunResult> {
  const prelude = `import { native } from ${JSON.stringify(NATIVE_URL)};\n`;
  return runNode(['--expose-gc', '--input-type=module', '-e', prelude + source], command);
}
