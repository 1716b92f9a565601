import { closeSync, openSync, writeSync } from 'node:fs';
import type { Fd, Poller } from '../../native.js';
import { DISCONNECT, READABLE, native } from '../../native.js';
import type { LauncherReply, LauncherRequest } from './launcher_protocol.js';
import { MISPLACED, REPLY_BYTES, decodeLauncherReply, encodeLauncherRequest } from './launcher_protocol.js';
import type { ObservedCommand } from '../observed_command.js';

/** Fds that native/launcher/collector.cc starts this process with. */
const CONTROL: Fd = 3;
const PIDFD: Fd = 4;
/** Standard error of CMD. That of this process is a file, which the launcher reads when this process ends too early. */
const CMD_STDERR: Fd = 5;
const BROKER: Fd = 6;
/** Limit on the wait while standard error is non-blocking and full. */
const MAX_WAITS = 100;
const WAIT_MS = 10;

/** The launcher ended, usually killed, before CMD ran. No process is left to report to. */
export class LauncherGone extends Error {
  override readonly name = 'LauncherGone';
}

export interface LauncherAnswer {
  readonly reply: LauncherReply;
  /** Owned by the caller. */
  readonly fds: readonly Fd[];
}

/**
 * The process that waits to become CMD, as seen by its collector. It is not a child of this process: its end is known,
 * its exit code is not.
 */
export class Launcher implements ObservedCommand {
  readonly pid: number;
  /** Belongs to the launcher. */
  readonly pidfd: Fd = PIDFD;
  /** Source of the events. */
  readonly source: 'broker' | 'direct' | 'none';
  /** Connection to the broker, made by the launcher; owned by the caller. Absent unless `source` is `broker`. */
  readonly connection?: Fd;
  /** True when the launcher runs as root and creates the output with root's rights, which this process does not have. */
  readonly createsFiles: boolean;
  /** Always 0. */
  readonly exited: Promise<number>;
  /** Resolves after {@link release}: 0 when CMD was executed, else the errno of the failure. */
  readonly executed: Promise<number>;
  /** errno of a failure to name the file that the launcher created; 0: none. Known when CMD is executed. */
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
   * Sends a request and waits for the reply. One call at a time.
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

  /** Lets CMD run; see {@link executed}. */
  release(): void {
    this.#released = true;
    if (!this.#send({ type: 'ready' })) this.#settleExecuted(0);
  }

  /** Reports that nothing will be recorded. */
  fail(exitCode: number, text: string): void {
    this.#send({ type: 'failed', exitCode, text });
  }

  /** Writes to the standard error of CMD, and leaves its mode as it is, even when it is non-blocking: CMD shares it. */
  writeStderr(text: string): void {
    let rest = Buffer.from(text);
    for (let waits = 0; rest.length > 0 && waits < MAX_WAITS;) {
      try {
        rest = rest.subarray(writeSync(CMD_STDERR, rest));
      } catch (error) {
        // A reader that went away is not our failure.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        waits++;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
      }
    }
  }

  /** Releases CMD's standard error, so that the reader of a pipe does not wait for this process to end. */
  releaseStderr(): void {
    closeSync(CMD_STDERR);
    openSync('/dev/null', 'w'); // gets the lowest free number: CMD_STDERR
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

/** @returns null when the launcher's end is closed, undefined when there is no message */
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
