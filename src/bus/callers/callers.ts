/** Callers on the bus, identified only by what the bus reports. */
import { Rollback } from '../../common/rollback.js';
import { native, type Fd, type NativeError } from '../../native.js';
import { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import { ByteBudget, SIGNAL_BUDGET } from '../transport/byte_budget.js';
import type { BusDriver } from './bus_driver.js';
import { CallError } from '../dbus_error.js';

/** A connection that has called this service. */
export interface Caller {
  /** Unique name, `:1.42`. */
  readonly name: string;
  readonly uid: number;
  /** Pidfd of the process that connected to the bus; owned by {@link Callers}. */
  readonly pidfd: Fd;
  /** Aborted when the connection leaves the bus, which withdraws its calls. */
  readonly gone: AbortSignal;
}

export interface CallerLimits {
  /** Maximum calls under way of one connection. */
  readonly callsPerName: number;
  /** Maximum calls under way of one user. */
  readonly callsPerUser: number;
  /** Maximum calls under way of all users. */
  readonly calls: number;
  /** Maximum entries of one user. Entries without a call under way are replaced. */
  readonly namesPerUser: number;
  /** Maximum entries of all users. */
  readonly names: number;
  /** Maximum lookups of credentials under way. */
  readonly lookups: number;
  /** Maximum connections that wait for a lookup. The bus allows one user 256 connections. */
  readonly waiting: number;
  /** Maximum bytes of calls of one connection while its lookup is under way. */
  readonly waitingBytes: number;
}

export const CALLER_LIMITS: CallerLimits = {
  callsPerName: 8,
  callsPerUser: 16,
  calls: 128,
  namesPerUser: 32,
  names: 256,
  lookups: 64,
  waiting: 256,
  waitingBytes: 64 * 1024,
};

/** Connections whose user is unknown share one budget for error replies. */
const UNKNOWN_USER = -1;
/** Represents all uids of /etc/subuid, because one user may use all of them and dbus-broker accepts them. */
const BORROWED = -2;
/** Bytes charged for each call in addition to its own size and that of its reply. */
const CALL_COST = 2048;

interface Turn {
  readonly begin: () => void;
  readonly cancel: (error: CallError) => void;
}

interface Entry {
  readonly name: string;
  readonly abort: AbortController;
  /** Number of calls under way or waiting for the lookup. */
  calls: number;
  waitingBytes: number;
  lookup: Promise<Caller>;
  caller: Caller | null;
}

/**
 * Table of callers. Credentials are looked up once per connection: they are those of connect(2) and never change, and unique names are
 * never reused. Entries are in the order of their last call.
 */
export class Callers {
  readonly #driver: BusDriver;
  readonly #limits: CallerLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #budget: ByteBudget;
  readonly #signalBudget = new ByteBudget(SIGNAL_BUDGET);
  readonly #subordinateUids: SubordinateUids;
  /** Number of calls under way by user. */
  readonly #callsOf = new Map<number, number>();
  /** Connections that wait for a lookup. */
  readonly #queue = new Map<string, Turn>();
  #present = 0;
  #calls = 0;
  #lookups = 0;

  constructor(
    driver: BusDriver,
    limits: CallerLimits = CALLER_LIMITS,
    budget: ByteBudget = new ByteBudget(),
    subordinateUids: SubordinateUids = new SubordinateUids(),
  ) {
    this.#driver = driver;
    this.#limits = limits;
    this.#budget = budget;
    this.#subordinateUids = subordinateUids;
  }

  /** Number of unanswered calls. */
  get calls(): number {
    return this.#present;
  }

  /** Yields the known callers that may receive signals. */
  *known(): Iterable<Caller> {
    for (const { caller } of this.#entries.values())
      if (caller !== null && this.#maySignal(this.#userOf(caller))) yield caller;
  }

  /**
   * Runs one call of a connection.
   * @param bytes memory that the call occupies
   * @throws CallError LimitsExceeded, AccessDenied, Failed; errors of `body`
   */
  async run<Result>(name: string, bytes: number, body: (caller: Caller) => Promise<Result>): Promise<Result> {
    const entry = this.#register(name, bytes);
    this.#present += 1;
    entry.calls += 1;
    try {
      const caller = await entry.lookup;
      return await this.#runFor(caller, bytes, () => body(caller));
    } finally {
      entry.calls -= 1;
      this.#present -= 1;
      if (entry.calls === 0 && this.#entries.size > this.#limits.names) this.#evict();
    }
  }

  /** Charges a reply to its receiver. */
  charge(name: string, bytes: number): void {
    this.#budget.spend(this.#userNamed(name), bytes);
  }

  chargeSignal(name: string, bytes: number): void {
    this.#signalBudget.spend(this.#userNamed(name), bytes);
  }

  /** Returns whether a connection may receive replies. */
  mayReceive(name: string): boolean {
    return this.#budget.mayReceive(this.#userNamed(name));
  }

  /** Removes a connection that has left the bus. */
  leave(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#remove(entry);
  }

  #maySignal(user: number): boolean {
    return this.#budget.hasSome(user) && this.#signalBudget.hasSome(user);
  }

  /** Returns the user whose limits apply to the caller. */
  #userOf({ uid }: Caller): number {
    return this.#subordinateUids.has(uid) ? BORROWED : uid;
  }

  #userNamed(name: string): number {
    const caller = this.#entries.get(name)?.caller ?? null;
    return caller === null ? UNKNOWN_USER : this.#userOf(caller);
  }

  /** Registers a call. Its user may be unknown, so it must not use up limits of known users. */
  #register(name: string, bytes: number): Entry {
    const { callsPerName, lookups, waiting, waitingBytes } = this.#limits;
    const known = this.#entries.get(name);
    if ((known?.calls ?? 0) >= callsPerName)
      throw new CallError('LimitsExceeded', 'too many calls are under way; wait for replies');
    if (known === undefined && this.#lookups >= lookups && this.#queue.size >= waiting)
      throw new CallError('LimitsExceeded', 'too many new callers at once; try again later');
    const entry = known ?? this.#addEntry(name);
    if (entry.caller === null && entry.calls > 0 && entry.waitingBytes + bytes > waitingBytes)
      throw new CallError('LimitsExceeded', `more than ${waitingBytes} bytes before the first reply`);
    entry.waitingBytes += bytes;
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    return entry;
  }

  async #runFor<Result>(caller: Caller, bytes: number, body: () => Promise<Result>): Promise<Result> {
    const { uid } = caller;
    const user = this.#userOf(caller);
    const own = this.#callsOf.get(user) ?? 0;
    if (own >= this.#limits.callsPerUser)
      throw new CallError('LimitsExceeded', `uid ${uid} has too many calls under way; wait for replies`);
    if (this.#calls >= this.#limits.calls)
      throw new CallError('LimitsExceeded', 'too many calls are under way; try again later');
    if (!this.#budget.hasSome(user))
      throw new CallError('LimitsExceeded', `uid ${uid} calls too often; try again later`);
    this.#budget.spend(user, CALL_COST + bytes);
    this.#callsOf.set(user, own + 1);
    this.#calls += 1;
    try {
      return await body();
    } finally {
      this.#calls -= 1;
      const left = (this.#callsOf.get(user) ?? 1) - 1;
      if (left > 0) this.#callsOf.set(user, left);
      else this.#callsOf.delete(user);
    }
  }

  #addEntry(name: string): Entry {
    const abort = new AbortController();
    const lookup = this.#inTurn(name, () => this.#identify(name, abort.signal));
    const entry: Entry = { name, abort, calls: 0, waitingBytes: 0, caller: null, lookup };
    entry.lookup = lookup.then(
      (caller) => {
        if (abort.signal.aborted) {
          native.close(caller.pidfd);
          throw gone();
        }
        entry.caller = caller;
        this.#evict();
        return caller;
      },
      (error: unknown) => {
        this.#remove(entry);
        throw error;
      },
    );
    // Callers await `lookup`. Without a caller, a rejection must not be reported as unhandled.
    entry.lookup.catch(() => {});
    return entry;
  }

  /**
   * Runs lookups in the order of arrival. A connection that leaves the bus loses its turn, so one user's lookups ahead of another's are
   * limited by the number of its connections.
   */
  async #inTurn(name: string, lookup: () => Promise<Caller>): Promise<Caller> {
    if (this.#lookups < this.#limits.lookups) this.#lookups += 1;
    else await new Promise<void>((begin, cancel) => this.#queue.set(name, { begin, cancel }));
    try {
      return await lookup();
    } finally {
      const [next] = this.#queue;
      if (next === undefined) this.#lookups -= 1;
      else {
        this.#queue.delete(next[0]);
        next[1].begin();
      }
    }
  }

  /**
   * Looks up a connection. A pidfd pins the process that connected, by the pid that the bus reports; the connection must still exist
   * afterwards with the same pid. If the process passed its connection to a child and exited, the pid may have been reused: the
   * broker compares the uid, so the user gains nothing that it does not already have.
   */
  async #identify(name: string, signal: AbortSignal): Promise<Caller> {
    const before = await this.#driver.credentials(name);
    if (before === null) throw gone();
    if (before.pid <= 0)
      throw new CallError(
        'AccessDenied',
        'the bus cannot see your process, which is in another pid namespace. Use the socket of the broker with a pidfd',
      );
    const pidfd = openPidfd(before.pid);
    using pin = new Rollback(() => native.close(pidfd));
    const after = await this.#driver.credentials(name);
    if (after?.pid !== before.pid || after.uid !== before.uid) throw gone();
    pin.keep();
    return { name, uid: before.uid, pidfd, gone: signal };
  }

  #evict(): void {
    const { names, namesPerUser } = this.#limits;
    const perUser = new Map<number, number>();
    // Newest first, so that the oldest entries exceed the limit.
    for (const entry of [...this.#entries.values()].reverse()) {
      if (entry.caller === null) continue;
      const user = this.#userOf(entry.caller);
      const count = (perUser.get(user) ?? 0) + 1;
      perUser.set(user, count);
      if (count > namesPerUser && entry.calls === 0) this.#remove(entry);
    }
    // Entries with a lookup under way do not count against known callers.
    let over = [...this.#entries.values()].filter(({ caller }) => caller !== null).length - names;
    for (const entry of this.#entries.values()) {
      if (over <= 0) return;
      if (entry.caller === null || entry.calls > 0) continue;
      this.#remove(entry);
      over -= 1;
    }
  }

  #remove(entry: Entry): void {
    if (this.#entries.get(entry.name) !== entry) return;
    this.#entries.delete(entry.name);
    entry.abort.abort();
    if (entry.caller !== null) native.close(entry.caller.pidfd);
    this.#queue.get(entry.name)?.cancel(gone());
    this.#queue.delete(entry.name);
  }
}

function openPidfd(pid: number): Fd {
  try {
    return native.pidfdOpen(pid);
  } catch (error) {
    const { code } = error as NativeError;
    if (code === 'ESRCH' || code === 'EINVAL' || code === 'ENOENT') throw gone();
    throw error;
  }
}

function gone(): CallError {
  return new CallError('Failed', 'the caller has left the bus, or the process that connected to it has ended');
}
