import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { native, type Fd } from '../native.js';

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
  #gate: Fd | null;
  #running = true;

  private constructor(child: ChildProcess, gate: Fd, pid: number, exited: Promise<number>) {
    this.#child = child;
    this.#gate = gate;
    this.pid = pid;
    this.exited = exited.finally(() => {
      this.#running = false;
    });
  }

  /** @throws when the launcher itself can not be executed. */
  static async start(command: readonly string[], launcher: string = LAUNCHER): Promise<Workload> {
    const { [NOFILE_VARIABLE]: nofile, ...env } = process.env;
    const limit = nofile === undefined ? [] : ['--nofile', nofile];
    // A socketpair of our own: with each socket of node's that is closed node looks at process.stderr, and that makes the
    // standard error that the command has inherited non-blocking.
    const [gate, theirs] = native.socketPair('stream');
    try {
      return await Workload.#spawn(launcher, ['--exec-gate', '3', ...limit, '--', ...command], env, gate, theirs);
    } catch (error) {
      native.close(gate);
      throw error;
    } finally {
      native.close(theirs);
    }
  }

  static async #spawn(
    launcher: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    gate: Fd,
    theirs: Fd,
  ): Promise<Workload> {
    const child = spawn(launcher, args, { stdio: ['inherit', 'inherit', 'inherit', theirs], env });
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
    return new Workload(child, gate, child.pid, exited);
  }

  /** Lets the command run. */
  release(): void {
    const gate = this.#takeGate();
    if (gate === null) return;
    try {
      native.sendMessage(gate, Buffer.from('\n'), []);
    } catch {
      // The command has ended before it read: nothing to do about it, its exit tells.
    }
    native.close(gate);
  }

  /** Asks the command to end (SIGTERM), or keeps it from ever running when it still waits. */
  terminate(): void {
    const gate = this.#takeGate();
    if (gate !== null) native.close(gate);
    if (this.#running) this.#child.kill('SIGTERM');
  }

  #takeGate(): Fd | null {
    const gate = this.#gate;
    this.#gate = null;
    return gate;
  }
}
