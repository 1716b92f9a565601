import { readFileSync } from 'node:fs';
import type { Fd, Poller } from '../../native.js';
import { DISCONNECT, READABLE, native } from '../../native.js';
import type { ParentMessage } from './parent_protocol.js';
import { PARENT_MESSAGE_BYTES, decodeParentMessage, encodeParentMessage } from './parent_protocol.js';
import { Workload } from './workload.js';

const VARIABLE = 'PERFBROKER_PARENT';
const ENOTCONN = 107;

/**
 * The native process that started this one for `record` or `stat` (native/launcher/parent.cc). The shell knows that
 * process. It forks CMD and waits for it, so that CMD inherits nothing of node; it passes signals on to this process, and
 * writes to the terminal what this process prints.
 */
export class CommandParent implements Disposable {
  /** Index of the first argument that node has changed, because it was not UTF-8; 0: none. */
  readonly foreignArgument: number;
  readonly #pid: number;
  readonly #control: Fd;
  readonly #terminals: string;
  readonly #poller: Poller;
  readonly #gone = new AbortController();
  #answer: ((message: ParentMessage) => void) | undefined;
  #workload: Workload | undefined;

  /** @returns undefined when this process was started otherwise */
  static fromEnvironment(): CommandParent | undefined {
    const marker = process.env[VARIABLE];
    Reflect.deleteProperty(process.env, VARIABLE);
    const match = /^(\d+) (\d+) (-|1?2?) (\d+)$/.exec(marker ?? '');
    return match === null ? undefined : new CommandParent(match);
  }

  private constructor([, pid, control, terminals = '-', foreign]: RegExpExecArray) {
    this.#pid = Number(pid);
    this.#control = Number(control);
    this.#terminals = terminals;
    this.foreignArgument = Number(foreign);
    this.#poller = native.createPoller(this.#control, () => this.#onMessage());
    this.#poller.start(READABLE | DISCONNECT);
  }

  /** Aborted when the parent has ended: no process is left that this one works for. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** True when the parent's standard output (1) or standard error (2) is a terminal. */
  isTerminal(fd: 1 | 2): boolean {
    return this.#terminals.includes(String(fd));
  }

  /** True when the parent's process group is the one in the foreground of its terminal. */
  isInForeground(): boolean {
    try {
      // proc_pid_stat(5): pid (comm) state ppid pgrp session tty_nr tpgid. The name may contain anything.
      const fields = readFileSync(`/proc/${this.#pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ');
      return fields[2] === fields[5];
    } catch {
      return false;
    }
  }

  /**
   * Has the parent fork CMD, which waits at its gate.
   * @param index of CMD among the arguments of the parent
   * @param isTimer the command only sets the duration: the parent exits with its code only if this process has not failed
   * @throws Error with `errno`
   */
  async start(index: number, isTimer: boolean): Promise<Workload> {
    const answer = await new Promise<ParentMessage>((resolve) => {
      this.#answer = resolve;
      if (!this.#send({ type: isTimer ? 'startTimer' : 'start', value: index }))
        resolve({ type: 'failed', value: ENOTCONN });
    });
    this.#answer = undefined;
    if (answer.type !== 'started')
      throw Object.assign(new Error('the command could not be started'), { errno: answer.value });
    this.#workload = new Workload(answer.value, (type) => this.#send({ type, value: 0 }));
    return this.#workload;
  }

  /** Stops listening, so that this process can end. Idempotent. */
  [Symbol.dispose](): void {
    this.#poller.close();
  }

  #send(message: ParentMessage): boolean {
    try {
      return native.sendMessage(this.#control, encodeParentMessage(message), []) !== null;
    } catch {
      return false;
    }
  }

  #onMessage(): void {
    const message = receive(this.#control);
    if (message === undefined) return;
    if (message === null) {
      this.#poller.stop();
      this.#answer?.({ type: 'failed', value: ENOTCONN });
      this.#gone.abort();
    } else if (message.type === 'executed') this.#workload?.onExecuted(message.value);
    else if (message.type === 'exited') this.#workload?.onExited(message.value);
    else this.#answer?.(message);
  }
}

/** @returns null when the parent has ended, undefined when there is no message */
function receive(control: Fd): ParentMessage | null | undefined {
  const bytes = new Uint8Array(PARENT_MESSAGE_BYTES);
  try {
    const received = native.receiveMessage(control, bytes);
    if (received === null) return undefined;
    return received.bytes === 0 ? null : decodeParentMessage(bytes.subarray(0, received.bytes));
  } catch {
    return null;
  }
}
