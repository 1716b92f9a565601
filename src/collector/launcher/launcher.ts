import { closeSync, openSync, writeSync } from 'node:fs';
import type { Fd, Poller } from '../../native.js';
import { DISCONNECT, READABLE, native } from '../../native.js';
import type { LauncherReply, LauncherRequest } from './launcher_protocol.js';
import { MISPLACED, REPLY_BYTES, decodeLauncherReply, encodeLauncherRequest } from './launcher_protocol.js';
import type { ObservedCommand } from '../observed_command.js';

/** The fds that native/launcher/collector.cc starts this process with. */
const CONTROL: Fd = 3;
const PIDFD: Fd = 4;
/** CMD's standard error. This process's own is a file that the launcher reads when this process ends too early. */
const CMD_STDERR: Fd = 5;
const BROKER: Fd = 6;
/** Bounds the wait for a reader of a standard error that is non-blocking and full. */
const MAX_WAITS = 100;
const WAIT_MS = 10;

/** The launcher ended, killed as a rule, before CMD ran: nobody is left to be told. */
export class LauncherGone extends Error {
  override readonly name = 'LauncherGone';
}

export interface LauncherAnswer {
  readonly reply: LauncherReply;
  /** Owned by the caller. */
  readonly fds: readonly Fd[];
}

/**
 * The process that waits to become CMD, seen from its collector. It is not this process's child: its end is known, its
 * exit code is not.
 */
export class Launcher implements ObservedCommand {
  readonly pid: number;
  /** Belongs to the launcher. */
  readonly pidfd: Fd = PIDFD;
  /** Where events come from. */
  readonly source: 'broker' | 'direct' | 'none';
  /** A connection to the broker, made by the launcher; owned by the caller. Absent unless `source` says broker. */
  readonly connection?: Fd;
  /** The launcher runs as root and creates the output with root's rights, which this process does not have. */
  readonly createsFiles: boolean;
  /** Always 0. */
  readonly exited: Promise<number>;
  /** What became of CMD after {@link release}: 0 when it is executed, else the errno of the failure. */
  readonly executed: Promise<number>;
  /** errno of the failure to give the file that the launcher created its name; known when CMD is executed. */
  misplaced = 0;
  #waiting: ((answer: LauncherAnswer | null) => void) | undefined;
  #settleExecuted: (error: number) => void = () => undefined;
  #released = false;
  readonly #pollers: Poller[] = [];

  /** @returns undefined when this process was not started by the launcher */
  static fromEnvironment(): Launcher | undefined {
    const marker = process.env['PERFBROKER_COLLECTOR'];
    delete process.env['PERFBROKER_COLLECTOR'];
    const match = /^(\d+) (broker|direct|none) (launcher|self)$/.exec(marker ?? '');
    if (match === null) return undefined;
    return new Launcher(Number(match[1]), match[2] as Launcher['source'], match[3] === 'launcher');
  }

  private constructor(pid: number, source: Launcher['source'], createsFiles: boolean) {
    this.pid = pid;
    this.source = source;
    this.createsFiles = createsFiles;
    if (source === 'broker') this.connection = BROKER;
    this.executed = new Promise((resolve) => (this.#settleExecuted = resolve));
    const control = native.createPoller(CONTROL, () => this.#onControl(control));
    // A pidfd becomes readable when its process ends (pidfd_open(2)).
    let onExit: (code: number) => void = () => undefined;
    this.exited = new Promise((resolve) => (onExit = resolve));
    const exit = native.createPoller(PIDFD, () => {
      exit.stop();
      onExit(0);
    });
    this.#pollers.push(control, exit);
    control.start(READABLE | DISCONNECT);
    exit.start(READABLE);
  }

  /**
   * Asks for something and waits for the answer. One call at a time.
   * @throws LauncherGone
   */
  async call(request: LauncherRequest): Promise<LauncherAnswer> {
    const answer = await new Promise<LauncherAnswer | null>((resolve) => {
      this.#waiting = resolve;
      if (!this.#send(request)) resolve(null);
    });
    this.#waiting = undefined;
    if (answer === null) throw new LauncherGone('the launcher has ended');
    return answer;
  }

  /** Lets CMD run; {@link executed} tells whether it does. */
  release(): void {
    this.#released = true;
    if (!this.#send({ type: 'ready' })) this.#settleExecuted(0);
  }

  /** Nothing will be recorded. */
  fail(exitCode: number, text: string): void {
    this.#send({ type: 'failed', exitCode, text });
  }

  /** Writes to CMD's standard error, which is CMD's still: it is left as it is, also when it is non-blocking. */
  writeStderr(text: string): void {
    let rest = Buffer.from(text);
    for (let waits = 0; rest.length > 0 && waits < MAX_WAITS;) {
      try {
        rest = rest.subarray(writeSync(CMD_STDERR, rest));
      } catch (error) {
        // A reader that went away is no failure of ours.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        waits++;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
      }
    }
  }

  /** Lets go of CMD's standard error: whoever reads it to its end, a pipe's other side, does not wait for this process. */
  releaseStderr(): void {
    closeSync(CMD_STDERR);
    openSync('/dev/null', 'w'); // gets the lowest free number, which is that one
  }

  /** Stops watching; idempotent. */
  close(): void {
    for (const poller of this.#pollers.splice(0)) poller.close();
  }

  #send(request: LauncherRequest): boolean {
    try {
      return native.sendMessage(CONTROL, encodeLauncherRequest(request), []) !== null;
    } catch {
      return false;
    }
  }

  #onControl(poller: Poller): void {
    const answer = receive();
    if (answer === undefined) return;
    if (answer === null) poller.stop();
    if (!this.#released) this.#waiting?.(answer);
    else if (answer?.reply.value === MISPLACED) this.misplaced = answer.reply.error;
    else this.#settleExecuted(answer?.reply.error ?? 0);
  }
}

/** null: the launcher's end is closed. undefined: nothing there. */
function receive(): LauncherAnswer | null | undefined {
  const bytes = new Uint8Array(REPLY_BYTES);
  try {
    const received = native.receiveMessage(CONTROL, bytes);
    if (received === null) return undefined;
    if (received.bytes === 0) return null;
    return { reply: decodeLauncherReply(bytes.subarray(0, received.bytes)), fds: received.fds };
  } catch {
    return null;
  }
}
