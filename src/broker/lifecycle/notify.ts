/** What the service manager is told: sd_notify(3), over the datagram socket that $NOTIFY_SOCKET names. */
import { native, type Fd } from '../../native.js';
import { escapeControls } from '../../common/escape_controls.js';

/** CLOCK_MONOTONIC, which MONOTONIC_USEC counts in. */
const CLOCK_MONOTONIC = 1;
/** STATUS is for people: it changes no oftener than that. */
const STATUS_MS = 1000;

/**
 * Type=notify with a watchdog. Without a service manager there is none of these, so nobody's idle daemon wakes up for
 * it. A message that can not be sent is lost: the manager acts on what does not come.
 */
export class Notifier {
  readonly #name: string;
  readonly #socket: Fd;
  #status = '';
  #told = '';
  #statusTimer: NodeJS.Timeout | null = null;
  #watchdog: NodeJS.Timeout | null = null;

  /** @param name as in $NOTIFY_SOCKET: a path, or an abstract name with a leading `@` */
  constructor(name: string) {
    this.#name = name;
    this.#socket = native.datagramSocket();
  }

  /** Null when no service manager listens, or on an address that is no AF_UNIX one. */
  static fromEnvironment(env: NodeJS.ProcessEnv = process.env): Notifier | null {
    const name = env['NOTIFY_SOCKET'] ?? '';
    return /^[/@]./.test(name) ? new Notifier(name) : null;
  }

  /** After the start and after a reload, whatever came of it. */
  ready(status: string): void {
    this.#told = this.#status = status;
    this.#send('READY=1', statusLine(status));
  }

  /** Until {@link ready}. */
  reloading(): void {
    const microseconds = native.clockNanoseconds(CLOCK_MONOTONIC) / 1000n;
    this.#send('RELOADING=1', `MONOTONIC_USEC=${microseconds}`);
  }

  /** At once when the last one is older than a second, else when it is. */
  status(status: string): void {
    this.#status = status;
    if (this.#statusTimer !== null || status === this.#told) return;
    this.#tellStatus();
    this.#statusTimer = setTimeout(() => {
      this.#statusTimer = null;
      if (this.#status !== this.#told) this.status(this.#status);
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
    // It is the monitor's, which systemd started; inherited from some other service, it is not for us to feed.
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
        // Whoever rejects has told the log.
      } finally {
        asking = false;
      }
    };
    // A timer of node's holds 2^31 ms.
    this.#watchdog = setInterval(() => void feed(), Math.min(halfMs, 0x7fff_ffff)).unref();
    void feed();
  }

  /** Stops the timers. */
  close(): void {
    if (this.#statusTimer !== null) clearTimeout(this.#statusTimer);
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
  }

  #tellStatus(): void {
    this.#told = this.#status;
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
