import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ObservedCommand } from '../observed_command.js';
import { DISCONNECT, READABLE, native, type Fd, type Poller } from '../../native.js';

/** The launcher, where a built tree has it. */
const LAUNCHER: string = fileURLToPath(new URL('../../bin/perfbroker', import.meta.url));
/** The soft limit of open files before node raised it, in the launcher's words. */
const NOFILE_VARIABLE = 'PERFBROKER_LAUNCHER_NOFILE';

/**
 * A command that waits at a gate: the process exists, so that events can be opened on it, and becomes the command when
 * {@link release} is called. If this process dies before that, the command never runs.
 */
export class Workload implements ObservedCommand, Disposable {
  readonly pid: number;
  /** The command's exit code, 128 + N when signal N killed it. */
  readonly exited: Promise<number>;
  readonly executed: Promise<number>;
  readonly #child: ChildProcess;
  #gate: Fd | null;
  #gatePoller: Poller | null = null;
  #settleExecuted: (errno: number) => void = () => undefined;
  #state: 'waits' | 'released' | 'ended' = 'waits';

  private constructor(child: ChildProcess, gate: Fd, pid: number, exited: Promise<number>) {
    this.#child = child;
    this.#gate = gate;
    this.pid = pid;
    this.exited = exited.finally(() => {
      this.#state = 'ended';
    });
    this.executed = new Promise((resolve) => (this.#settleExecuted = resolve));
    void this.exited.then(() => this.#takeFailure());
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
    if (this.#state !== 'waits' || this.#gate === null) return;
    this.#state = 'released';
    this.#gatePoller = native.createPoller(this.#gate, () => this.#takeFailure());
    this.#gatePoller.start(READABLE | DISCONNECT);
    try {
      native.sendMessage(this.#gate, Buffer.from('\n'), []);
    } catch {
      // The command has ended before it read: nothing to do about it, its exit tells.
    }
  }

  /** Asks the command to end (SIGTERM), or keeps it from ever running when it still waits. */
  terminate(): void {
    if (this.#state === 'waits') this.#closeGate();
    if (this.#state !== 'ended') this.#child.kill('SIGTERM');
  }

  [Symbol.dispose](): void {
    this.terminate();
  }

  /** The launcher's end of the gate is closed by the exec; the errno of one that failed comes before that. */
  #takeFailure(): void {
    const errno = new Uint8Array(1);
    try {
      if (this.#gate !== null) native.receiveMessage(this.#gate, errno);
    } catch {
      // It was killed before it came to the exec.
    }
    this.#closeGate();
    this.#settleExecuted(errno[0] ?? 0);
  }

  #closeGate(): void {
    this.#gatePoller?.close();
    this.#gatePoller = null;
    if (this.#gate !== null) native.close(this.#gate);
    this.#gate = null;
  }
}
