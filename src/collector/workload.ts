import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** The launcher, where a built tree has it. */
const LAUNCHER: string = fileURLToPath(new URL('../bin/perfbroker', import.meta.url));
/** The soft limit of open files before node raised it, in the launcher's words. */
const NOFILE_VARIABLE = 'PERFBROKER_LAUNCHER_NOFILE';
/** Exit code when the command could not be started at all; 126 and 127 are the launcher's own, as a shell's. */
export const CANNOT_START = 125;

/** A command that does not run yet: its process exists, so that events can be opened on it. */
export interface ObservedCommand {
  readonly pid: number;
  /** Its exit code, as far as it is known here. */
  readonly exited: Promise<number>;
  /** Lets the command run. */
  release(): void;
}

/**
 * A command that waits at a gate: the process exists, so that events can be opened on it, and becomes the command when
 * {@link release} is called. If this process dies before that, the command never runs.
 */
export class Workload implements ObservedCommand {
  readonly pid: number;
  /** The command's exit code, 128 + N when signal N killed it. */
  readonly exited: Promise<number>;
  readonly #child: ChildProcess;
  readonly #gate: Duplex;
  #running = true;

  private constructor(child: ChildProcess, pid: number, exited: Promise<number>) {
    this.#child = child;
    this.pid = pid;
    this.#gate = child.stdio[3] as Duplex;
    // The command may end before it reads: nothing to do about it, its exit tells.
    this.#gate.on('error', () => undefined);
    this.exited = exited.finally(() => {
      this.#running = false;
    });
  }

  /** @throws when the launcher itself can not be executed. */
  static async start(command: readonly string[], launcher: string = LAUNCHER): Promise<Workload> {
    const { [NOFILE_VARIABLE]: nofile, ...env } = process.env;
    const limit = nofile === undefined ? [] : ['--nofile', nofile];
    const child = spawn(launcher, ['--exec-gate', '3', ...limit, '--', ...command], {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
      env,
    });
    const exited = new Promise<number>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    if (child.pid === undefined) throw new Error('the launcher has no pid');
    return new Workload(child, child.pid, exited);
  }

  /** Lets the command run. */
  release(): void {
    this.#gate.end('\n');
  }

  /** Asks the command to end (SIGTERM), or keeps it from ever running when it still waits. */
  terminate(): void {
    this.#gate.destroy();
    if (this.#running) this.#child.kill('SIGTERM');
  }
}
