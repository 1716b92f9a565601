import { native, type Fd } from '../native.js';
import type { Slot } from '../interfaces/broker_types.js';

/**
 * One perf event of a grant, initially disabled. Its fd belongs to this process and can be mapped, polled and used in ioctl(2) like
 * any other perf event fd. `close` closes it, as does the grant's `close`.
 */
export class OpenedEvent {
  /** Index into the request's events. */
  readonly event: number;
  /** Index into the request's targets. */
  readonly target: number;
  /** Thread id in the broker's pid namespace; -1 for system and cgroup targets. */
  readonly tid: number;
  /** Cpu number; -1: any cpu. */
  readonly cpu: number;
  #fd: Fd | null;

  /** @param fd the event owns it from now on */
  constructor(fd: Fd, { event, target, tid, cpu }: Omit<Slot, 'fd'>) {
    this.#fd = fd;
    this.event = event;
    this.target = target;
    this.tid = tid;
    this.cpu = cpu;
  }

  /** @throws Error after `close`, when the number may already refer to another file */
  get fd(): Fd {
    if (this.#fd === null) throw new Error('the event is closed');
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd === null;
  }

  /** PERF_EVENT_IOC_ENABLE. */
  enable(): void {
    native.perfEnable(this.fd);
  }

  /** PERF_EVENT_IOC_DISABLE. */
  disable(): void {
    native.perfDisable(this.fd);
  }

  /** PERF_EVENT_IOC_RESET: sets the count to 0. */
  reset(): void {
    native.perfReset(this.fd);
  }

  /** PERF_EVENT_IOC_ID: returns the id that samples of this event carry. */
  id(): bigint {
    return native.perfId(this.fd);
  }

  /** read(2): returns u64 words in the order of the event's read_format (perf_event_open(2)). */
  read(): BigUint64Array {
    return native.perfRead(this.fd);
  }

  /** Idempotent. */
  close(): void {
    const fd = this.#fd;
    this.#fd = null;
    if (fd !== null) native.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
