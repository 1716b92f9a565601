/** Who has called, by the bus's word alone. */
import { native, type Fd, type NativeError } from '../native.js';
import type { BusDriver } from './bus_driver.js';
import { CallError } from './dbus_error.js';
import type { Log } from './log.js';

/** A connection to the bus that has called us, and whose it is. */
export interface Caller {
  /** Unique name, `:1.42`. */
  readonly name: string;
  readonly uid: number;
  /** Of the process that connected to the bus; this table's. */
  readonly pidfd: Fd;
  /** Aborted when the connection leaves the bus: what runs for it is taken back. */
  readonly gone: AbortSignal;
}

export interface CallerLimits {
  /** Calls of one connection under way. */
  readonly callsPerName: number;
  /** Calls of one user under way, whatever the connections. */
  readonly callsPerUser: number;
  readonly calls: number;
  /** Connections of one user that are remembered; those without a call under way are forgotten for others. */
  readonly namesPerUser: number;
  readonly names: number;
  /** Connections whose credentials the bus is being asked for. */
  readonly lookups: number;
}

export const CALLER_LIMITS: CallerLimits = {
  callsPerName: 8,
  callsPerUser: 16,
  calls: 128,
  namesPerUser: 32,
  names: 256,
  lookups: 64,
};

interface Entry {
  readonly name: string;
  readonly abort: AbortController;
  calls: number;
  lookup: Promise<Caller>;
  caller: Caller | null;
}

/**
 * The bus is asked once for each connection: its credentials are those of connect(2) and never change, and its name is
 * never used again. Entries are in the order of their last call.
 */
export class Callers {
  readonly #driver: BusDriver;
  readonly #log: Log;
  readonly #limits: CallerLimits;
  readonly #entries = new Map<string, Entry>();
  #calls = 0;
  #lookups = 0;

  constructor(driver: BusDriver, log: Log, limits: CallerLimits = CALLER_LIMITS) {
    this.#driver = driver;
    this.#log = log;
    this.#limits = limits;
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /** Everyone who is remembered and may be sent signals. */
  *known(): Iterable<Caller> {
    for (const { caller } of this.#entries.values()) if (caller !== null) yield caller;
  }

  /**
   * Runs one call of a connection.
   * @throws CallError LimitsExceeded, AccessDenied, Failed; whatever `body` throws
   */
  async run<Result>(name: string, body: (caller: Caller) => Promise<Result>): Promise<Result> {
    const entry = this.#enter(name);
    try {
      const caller = await entry.lookup;
      this.#checkUser(caller.uid);
      return await body(caller);
    } finally {
      this.#calls -= 1;
      entry.calls -= 1;
      this.#forgetSome();
    }
  }

  /** The connection has left the bus. */
  leave(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#remove(entry);
  }

  #enter(name: string): Entry {
    const { calls, callsPerName, lookups } = this.#limits;
    const known = this.#entries.get(name);
    if (this.#calls >= calls || (known?.calls ?? 0) >= callsPerName)
      throw new CallError('LimitsExceeded', 'too many calls are under way; wait for answers');
    if (known === undefined && this.#lookups >= lookups)
      throw new CallError('LimitsExceeded', 'too many new callers at once; try again');
    const entry = known ?? this.#meet(name);
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    this.#calls += 1;
    entry.calls += 1;
    return entry;
  }

  #checkUser(uid: number): void {
    let calls = 0;
    for (const entry of this.#entries.values()) if (entry.caller?.uid === uid) calls += entry.calls;
    if (calls > this.#limits.callsPerUser)
      throw new CallError('LimitsExceeded', `uid ${uid} has too many calls under way; wait for answers`);
  }

  #meet(name: string): Entry {
    const abort = new AbortController();
    const entry: Entry = { name, abort, calls: 0, caller: null, lookup: this.#identify(name, abort.signal) };
    this.#lookups += 1;
    entry.lookup = entry.lookup
      .then(
        (caller) => {
          if (abort.signal.aborted) {
            native.close(caller.pidfd);
            throw gone();
          }
          entry.caller = caller;
          return caller;
        },
        (error: unknown) => {
          this.#remove(entry);
          throw error;
        },
      )
      .finally(() => (this.#lookups -= 1));
    // Whoever calls awaits it; when nobody does any more, nothing is lost.
    entry.lookup.catch(() => {});
    return entry;
  }

  /**
   * The bus knows the pid of the process that connected. It is pinned by a pidfd, and the connection must still be there
   * afterwards, with the same pid. A process that handed its connection to a child and ended, and whose pid was used
   * again, would pin another: the broker compares the uid, so that this gives nothing which that user has not anyway.
   */
  async #identify(name: string, signal: AbortSignal): Promise<Caller> {
    await this.#driver.watch(name);
    const before = await this.#driver.credentials(name);
    if (before === null) throw gone();
    if (before.pid <= 0)
      throw new CallError(
        'AccessDenied',
        'the bus does not see your process: it lives in another pid namespace. Use the socket of the broker, with a pidfd',
      );
    const pidfd = openPidfd(before.pid);
    try {
      const after = await this.#driver.credentials(name);
      if (after?.pid !== before.pid || after.uid !== before.uid) throw gone();
      return { name, uid: before.uid, pidfd, gone: signal };
    } catch (error) {
      native.close(pidfd);
      throw error;
    }
  }

  #forgetSome(): void {
    const { names, namesPerUser } = this.#limits;
    const perUser = new Map<number, number>();
    // The youngest first, so that the oldest are over the limit.
    for (const entry of [...this.#entries.values()].reverse()) {
      if (entry.caller === null) continue;
      const { uid } = entry.caller;
      const count = (perUser.get(uid) ?? 0) + 1;
      perUser.set(uid, count);
      if (count > namesPerUser && entry.calls === 0) this.#remove(entry);
    }
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= names) return;
      if (entry.calls === 0) this.#remove(entry);
    }
  }

  #remove(entry: Entry): void {
    if (this.#entries.get(entry.name) !== entry) return;
    this.#entries.delete(entry.name);
    entry.abort.abort();
    if (entry.caller !== null) native.close(entry.caller.pidfd);
    this.#driver
      .unwatch(entry.name)
      .catch((error: unknown) => this.#log.debug(`RemoveMatch ${entry.name}: ${(error as Error).message}`));
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
