/** Who has called, by the bus's word alone. */
import { native, type Fd, type NativeError } from '../../native.js';
import { SubordinateUids } from '../../model/identity/subordinate_uids.js';
import { Allowance, SIGNAL_ALLOWANCE } from '../transport/byte_budget.js';
import type { BusDriver } from './bus_driver.js';
import { CallError } from '../dbus_error.js';

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
  /** Connections that wait for that. The bus lets one user have 256. */
  readonly waiting: number;
  /** Bytes of the calls of one connection that wait until it is known whose it is. */
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

/** All of those whose user is not known share an allowance, for the errors that they are sent. */
const NOBODY = -1;
/** Stands for every uid that /etc/subuid lends, as one user may have all of them, and dbus-broker lets them in. */
const BORROWED = -2;
/** Bytes that a call costs beside its own and its answer's, for the work. */
const CALL_COST = 2048;

interface Turn {
  readonly come: () => void;
  readonly cancel: (error: CallError) => void;
}

interface Entry {
  readonly name: string;
  readonly abort: AbortController;
  /** Under way, or waiting until it is known whose they are. */
  calls: number;
  waitingBytes: number;
  lookup: Promise<Caller>;
  caller: Caller | null;
}

/**
 * The bus is asked once for each connection: its credentials are those of connect(2) and never change, and its name is
 * never used again. Entries are in the order of their last call.
 */
export class Callers {
  readonly #driver: BusDriver;
  readonly #limits: CallerLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #allowance: Allowance;
  readonly #signalAllowance = new Allowance(SIGNAL_ALLOWANCE);
  readonly #subordinateUids: SubordinateUids;
  /** Calls under way, by user. */
  readonly #callsOf = new Map<number, number>();
  /** Connections that wait to be looked up. */
  readonly #queue = new Map<string, Turn>();
  #present = 0;
  #calls = 0;
  #lookups = 0;

  constructor(
    driver: BusDriver,
    limits: CallerLimits = CALLER_LIMITS,
    allowance: Allowance = new Allowance(),
    subordinateUids: SubordinateUids = new SubordinateUids(),
  ) {
    this.#driver = driver;
    this.#limits = limits;
    this.#allowance = allowance;
    this.#subordinateUids = subordinateUids;
  }

  /** Calls that are not answered yet. */
  get calls(): number {
    return this.#present;
  }

  /** Everyone who is remembered and may be sent signals. */
  *known(): Iterable<Caller> {
    for (const { caller } of this.#entries.values())
      if (caller !== null && this.#maySignal(this.#userOf(caller))) yield caller;
  }

  /**
   * Runs one call of a connection.
   * @param bytes that the call holds meanwhile
   * @throws CallError LimitsExceeded, AccessDenied, Failed; whatever `body` throws
   */
  async run<Result>(name: string, bytes: number, body: (caller: Caller) => Promise<Result>): Promise<Result> {
    const entry = this.#enter(name, bytes);
    this.#present += 1;
    entry.calls += 1;
    try {
      const caller = await entry.lookup;
      return await this.#runFor(caller, bytes, () => body(caller));
    } finally {
      entry.calls -= 1;
      this.#present -= 1;
      if (entry.calls === 0 && this.#entries.size > this.#limits.names) this.#forgetSome();
    }
  }

  /** An answer of so many bytes was sent to a connection. */
  charge(name: string, bytes: number): void {
    this.#allowance.spend(this.#userNamed(name), bytes);
  }

  chargeSignal(name: string, bytes: number): void {
    this.#signalAllowance.spend(this.#userNamed(name), bytes);
  }

  /** Whether a connection may be sent an answer; if not, it gets none. */
  mayHear(name: string): boolean {
    return this.#allowance.mayHear(this.#userNamed(name));
  }

  /** The connection has left the bus. */
  leave(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#remove(entry);
  }

  #maySignal(user: number): boolean {
    return this.#allowance.hasSome(user) && this.#signalAllowance.hasSome(user);
  }

  /** Whose limits it has. */
  #userOf({ uid }: Caller): number {
    return this.#subordinateUids.has(uid) ? BORROWED : uid;
  }

  #userNamed(name: string): number {
    const caller = this.#entries.get(name)?.caller ?? null;
    return caller === null ? NOBODY : this.#userOf(caller);
  }

  /** Nothing is taken from others here: whose call it is is known only later. */
  #enter(name: string, bytes: number): Entry {
    const { callsPerName, lookups, waiting, waitingBytes } = this.#limits;
    const known = this.#entries.get(name);
    if ((known?.calls ?? 0) >= callsPerName)
      throw new CallError('LimitsExceeded', 'too many calls are under way; wait for answers');
    if (known === undefined && this.#lookups >= lookups && this.#queue.size >= waiting)
      throw new CallError('LimitsExceeded', 'too many new callers at once; try again');
    const entry = known ?? this.#meet(name);
    if (entry.caller === null && entry.calls > 0 && entry.waitingBytes + bytes > waitingBytes)
      throw new CallError('LimitsExceeded', `more than ${waitingBytes} bytes before the first answer`);
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
      throw new CallError('LimitsExceeded', `uid ${uid} has too many calls under way; wait for answers`);
    if (this.#calls >= this.#limits.calls)
      throw new CallError('LimitsExceeded', 'too many calls are under way; try again');
    if (!this.#allowance.hasSome(user))
      throw new CallError('LimitsExceeded', `uid ${uid} calls too often; wait a moment`);
    this.#allowance.spend(user, CALL_COST + bytes);
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

  #meet(name: string): Entry {
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
        this.#forgetSome();
        return caller;
      },
      (error: unknown) => {
        this.#remove(entry);
        throw error;
      },
    );
    // Whoever calls awaits it; when nobody does any more, nothing is lost.
    entry.lookup.catch(() => {});
    return entry;
  }

  /** First come, first served. Who leaves loses his turn: a user has at most as many before another's as connections. */
  async #inTurn(name: string, lookup: () => Promise<Caller>): Promise<Caller> {
    if (this.#lookups < this.#limits.lookups) this.#lookups += 1;
    else await new Promise<void>((come, cancel) => this.#queue.set(name, { come, cancel }));
    try {
      return await lookup();
    } finally {
      const [next] = this.#queue;
      if (next === undefined) this.#lookups -= 1;
      else {
        this.#queue.delete(next[0]);
        next[1].come();
      }
    }
  }

  /**
   * The bus knows the pid of the process that connected. It is pinned by a pidfd, and the connection must still be there
   * afterwards, with the same pid. A process that handed its connection to a child and ended, and whose pid was used
   * again, would pin another: the broker compares the uid, so that this gives nothing which that user has not anyway.
   */
  async #identify(name: string, signal: AbortSignal): Promise<Caller> {
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
      const user = this.#userOf(entry.caller);
      const count = (perUser.get(user) ?? 0) + 1;
      perUser.set(user, count);
      if (count > namesPerUser && entry.calls === 0) this.#remove(entry);
    }
    // Those that wait until it is known whose they are take no place from others.
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
