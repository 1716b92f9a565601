import { native, type Fd } from '../native.js';
import type { Slot } from '../interfaces/broker_types.js';

/**
 * One perf event of a grant. It opens disabled. The fd is this process's own and can be mapped, polled and used in
 * ioctl(2) like any other perf event fd; it is closed by `close`, and by the grant's.
 */
export class OpenedEvent {
  /** Index into the request's events. */
  readonly event: number;
  /** Index into the request's targets. */
  readonly target: number;
  /** Thread, in the broker's pid namespace; -1 for system and cgroup targets. */
  readonly tid: number;
  /** -1: any. */
  readonly cpu: number;
  #fd: Fd | null;

  /** @param fd owned by the event from now on */
  constructor(fd: Fd, { event, target, tid, cpu }: Omit<Slot, 'fd'>) {
    this.#fd = fd;
    this.event = event;
    this.target = target;
    this.tid = tid;
    this.cpu = cpu;
  }

  /** @throws Error once closed: the number may be another file's by then */
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

  /** PERF_EVENT_IOC_RESET: the count becomes 0. */
  reset(): void {
    native.perfReset(this.fd);
  }

  /** PERF_EVENT_IOC_ID: what samples of this event carry as their id. */
  id(): bigint {
    return native.perfId(this.fd);
  }

  /** read(2): u64 words in the order that the event's read_format gives them (perf_event_open(2)). */
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
