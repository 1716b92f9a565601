import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ObservedCommand } from '../observed_command.js';
import { DISCONNECT, READABLE, native, type Fd, type Poller } from '../../native.js';

/** The launcher in a built tree. */
const LAUNCHER: string = fileURLToPath(new URL('../../bin/perfbroker', import.meta.url));
/** Holds the soft limit of open files as it was before Node.js raised it; set by the launcher. */
const NOFILE_VARIABLE = 'PERFBROKER_LAUNCHER_NOFILE';

/**
 * A command that waits at a gate. Its process exists, so that events can be opened on it, and becomes the command when
 * {@link release} is called. If this process dies before that, the command never runs.
 */
export class Workload implements ObservedCommand, Disposable {
  readonly pid: number;
  /** Exit code of the command, 128 + N when signal N killed it. */
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

  /** @throws when the launcher itself cannot be executed */
  static async start(command: readonly string[], launcher: string = LAUNCHER): Promise<Workload> {
    const { [NOFILE_VARIABLE]: nofile, ...env } = process.env;
    const limit = nofile === undefined ? [] : ['--nofile', nofile];
    // Not a socket of Node.js: closing one accesses process.stderr, which makes the standard error that the command has
    // inherited non-blocking.
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
      // The command ended before it read; its exit code reports that.
    }
  }

  /** Sends SIGTERM to the command, or prevents a waiting one from ever running. */
  terminate(): void {
    if (this.#state === 'waits') this.#closeGate();
    if (this.#state !== 'ended') this.#child.kill('SIGTERM');
  }

  [Symbol.dispose](): void {
    this.terminate();
  }

  /** Reads the errno of a failed exec. A successful exec only closes the launcher's end of the gate. */
  #takeFailure(): void {
    const errno = new Uint8Array(1);
    try {
      if (this.#gate !== null) native.receiveMessage(this.#gate, errno);
    } catch {
      // It was killed before the exec.
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
