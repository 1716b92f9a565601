import type { ObservedCommand } from '../observed_command.js';

/**
 * A command that waits at a gate, as a child of this process's parent. Its process exists, so that events can be opened on
 * it, and becomes the command when {@link release} is called. If this process ends before that, the command never runs.
 * If it ends later, the command goes on.
 */
export class Workload implements ObservedCommand, Disposable {
  readonly pid: number;
  /** Exit code of the command, 128 + N when signal N ended it. */
  readonly exited: Promise<number>;
  readonly executed: Promise<number>;
  readonly #send: (type: 'release' | 'terminate') => void;
  #settleExited: (code: number) => void = () => undefined;
  #settleExecuted: (errno: number) => void = () => undefined;
  #released = false;

  constructor(pid: number, send: (type: 'release' | 'terminate') => void) {
    this.pid = pid;
    this.#send = send;
    this.exited = new Promise((resolve) => (this.#settleExited = resolve));
    this.executed = new Promise((resolve) => (this.#settleExecuted = resolve));
  }

  /** Lets the command run. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#send('release');
  }

  /** Sends SIGTERM to the command, or prevents a waiting one from ever running. */
  terminate(): void {
    this.#send('terminate');
  }

  /** Called by the parent's connection. @param errno of the exec; 0: it succeeded */
  onExecuted(errno: number): void {
    this.#settleExecuted(errno);
  }

  /** Called by the parent's connection. */
  onExited(code: number): void {
    // Of one that was ended at its gate, no exec was reported.
    this.#settleExecuted(0);
    this.#settleExited(code);
  }

  /** Prevents a waiting command from ever running; a released one goes on. */
  [Symbol.dispose](): void {
    if (!this.#released) this.terminate();
  }
}
