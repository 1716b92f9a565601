/** Notifications for the service manager: sd_notify(3), over the datagram socket that $NOTIFY_SOCKET names. */
import { native, type Fd } from '../../native.js';
import { escapeControls } from '../../common/escape_controls.js';

/** CLOCK_MONOTONIC: the clock of MONOTONIC_USEC. */
const CLOCK_MONOTONIC = 1;
/** STATUS is for people: it changes once in this time at most. */
const STATUS_MS = 1000;

/**
 * Type=notify with a watchdog. Without a service manager there is no notifier, and no timer wakes an idle daemon. A message that cannot be
 * sent is lost: the manager acts when it does not come.
 */
export class Notifier {
  readonly #name: string;
  readonly #socket: Fd;
  #status = '';
  #sent = '';
  #statusTimer: NodeJS.Timeout | null = null;
  #watchdog: NodeJS.Timeout | null = null;

  /** @param name as in $NOTIFY_SOCKET: a path, or an abstract name with a leading `@` */
  constructor(name: string) {
    this.#name = name;
    this.#socket = native.datagramSocket();
  }

  /** Null when no service manager listens, or its address is not of AF_UNIX. */
  static fromEnvironment(env: NodeJS.ProcessEnv = process.env): Notifier | null {
    const name = env['NOTIFY_SOCKET'] ?? '';
    return /^[/@]./.test(name) ? new Notifier(name) : null;
  }

  /** To be called after the start, and after a reload, also after one that failed. */
  ready(status: string): void {
    this.#sent = this.#status = status;
    this.#send('READY=1', statusLine(status));
  }

  /** A reload has begun. It lasts until {@link ready}. */
  reloading(): void {
    const microseconds = native.clockNanoseconds(CLOCK_MONOTONIC) / 1000n;
    this.#send('RELOADING=1', `MONOTONIC_USEC=${microseconds}`);
  }

  /** Sends the status at once when the last one is older than a second, else when it is. */
  status(status: string): void {
    this.#status = status;
    if (this.#statusTimer !== null || status === this.#sent) return;
    this.#sendStatus();
    this.#statusTimer = setTimeout(() => {
      this.#statusTimer = null;
      if (this.#status !== this.#sent) this.status(this.#status);
    }, STATUS_MS).unref();
  }

  stopping(status: string): void {
    this.close();
    this.#send('STOPPING=1', statusLine(status));
  }

  /**
   * Feeds the watchdog twice as often as $WATCHDOG_USEC demands, each time after `works` has resolved: while it does not,
   * or rejects, the manager gets nothing and ends the service.
   * @param starter pid of the process that $WATCHDOG_PID names when the watchdog is this service's
   */
  feedWatchdog(works: () => Promise<void>, env: NodeJS.ProcessEnv = process.env, starter: number = process.ppid): void {
    // systemd started the monitor, and names it. A variable that was inherited from another service is not for us.
    if ((env['WATCHDOG_PID'] ?? String(starter)) !== String(starter)) return;
    const text = env['WATCHDOG_USEC'] ?? '';
    const halfMs = /^\d{1,15}$/.test(text) ? Math.floor(Number(text) / 2000) : 0;
    if (halfMs === 0) return;
    let asking = false;
    const feed = async (): Promise<void> => {
      if (asking) return;
      asking = true;
      try {
        await works();
        this.#send('WATCHDOG=1');
      } catch {
        // The cause has been logged already.
      } finally {
        asking = false;
      }
    };
    // A timer of node holds 2^31 ms at most.
    this.#watchdog = setInterval(() => void feed(), Math.min(halfMs, 0x7fff_ffff)).unref();
    void feed();
  }

  /** Stops the timers. */
  close(): void {
    if (this.#statusTimer !== null) clearTimeout(this.#statusTimer);
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
  }

  #sendStatus(): void {
    this.#sent = this.#status;
    this.#send(statusLine(this.#status));
  }

  #send(...lines: readonly string[]): void {
    try {
      native.sendDatagram(this.#socket, this.#name, Buffer.from(lines.join('\n')));
    } catch {
      // The manager is busy or gone.
    }
  }
}

function statusLine(status: string): string {
  return `STATUS=${escapeControls(status)}`;
}
