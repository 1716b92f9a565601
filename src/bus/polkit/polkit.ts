/** Authorization by polkit. Only replies that polkit itself sent are accepted. */
import dbus from 'dbus-next';
import type { CheckParameters, CheckReply } from '../../interfaces/authorizer_types.js';
import { checkAction, detailsDictionary, subjectStruct } from './polkit_request.js';

export { ACTIONS, RequestError } from './polkit_request.js';

/** polkit cannot be reached, or the reply did not come from it. */
class PolkitUnavailable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PolkitUnavailable';
  }
}

/** The request was withdrawn. */
export class RequestWithdrawn extends Error {
  constructor() {
    super('the request was withdrawn');
    this.name = 'RequestWithdrawn';
  }
}

export interface PolkitOptions {
  /** Maximum milliseconds for a request without a dialog. Default: 15,000. */
  readonly deadlineMs?: number;
  /** Maximum milliseconds for a request with a dialog. Default: 130,000. */
  readonly interactiveDeadlineMs?: number;
  /** Maximum requests under way for one uid. Default: 4. */
  readonly perUser?: number;
  /** Maximum requests under way. Default: 64. dbus-daemon allows a connection 128 pending replies. */
  readonly total?: number;
}

const NAME = 'org.freedesktop.PolicyKit1';
const PATH = '/org/freedesktop/PolicyKit1/Authority';
const INTERFACE = 'org.freedesktop.PolicyKit1.Authority';
const BUS = 'org.freedesktop.DBus';
const BUS_PATH = '/org/freedesktop/DBus';
/** CheckAuthorizationFlags: AllowUserInteraction. */
const ALLOW_INTERACTION = 1;
const RESULT = '(bba{ss})';

/** Longer than the broker's own deadlines of 10 s and 120 s, after which it disconnects. */
const DEFAULTS: Required<PolkitOptions> = {
  deadlineMs: 15_000,
  interactiveDeadlineMs: 130_000,
  perUser: 4,
  total: 64,
};

interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/**
 * org.freedesktop.PolicyKit1.Authority over one bus connection. It keeps no state between requests, because polkit may be restarted at any
 * time.
 */
export class PolkitAuthority {
  readonly #bus: dbus.MessageBus;
  readonly #options: Required<PolkitOptions>;
  readonly #perUser = new Map<number, number>();
  #pending = 0;
  #lastRequest = 0;

  /** @param bus connected; the caller watches for its end */
  constructor(bus: dbus.MessageBus, options: PolkitOptions = {}) {
    this.#bus = bus;
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Number of requests under way. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Requests authorization.
   * @param signal withdraws the request: polkit is notified and closes its dialog
   * @throws RequestError, PolkitUnavailable, RequestWithdrawn
   */
  async check(request: CheckParameters, signal: AbortSignal): Promise<CheckReply> {
    const subject = subjectStruct(request.subject);
    const action = checkAction(request.action);
    const details = detailsDictionary(request.details);
    const { uid } = request.subject;
    this.#register(uid);
    try {
      return await this.#withDeadline(request, signal, (cancelled, id) =>
        this.#ask(request, [subject, action, details, request.interactive ? ALLOW_INTERACTION : 0, id], cancelled),
      );
    } finally {
      this.#unregister(uid);
    }
  }

  #register(uid: number): void {
    const own = this.#perUser.get(uid) ?? 0;
    const { perUser, total } = this.#options;
    if (own >= perUser)
      throw new PolkitUnavailable(`${own} of ${perUser} authorization requests for uid ${uid} are under way`);
    if (this.#pending >= total)
      throw new PolkitUnavailable(`${this.#pending} of ${total} authorization requests are under way`);
    this.#perUser.set(uid, own + 1);
    this.#pending += 1;
  }

  #unregister(uid: number): void {
    this.#pending -= 1;
    const own = (this.#perUser.get(uid) ?? 1) - 1;
    if (own === 0) this.#perUser.delete(uid);
    else this.#perUser.set(uid, own);
  }

  /** Runs `ask` until it ends, the request is withdrawn, or the deadline passes. */
  async #withDeadline(
    { interactive }: CheckParameters,
    signal: AbortSignal,
    ask: (cancellation: Cancellation, id: string) => Promise<CheckReply>,
  ): Promise<CheckReply> {
    const id = `perfbroker-${++this.#lastRequest}`;
    const ms = interactive ? this.#options.interactiveDeadlineMs : this.#options.deadlineMs;
    const cancellation = new Cancellation();
    let timer: NodeJS.Timeout | undefined;
    let withdraw = (): void => undefined;
    const cut = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new PolkitUnavailable(`polkit did not reply within ${ms} ms`)), ms);
      withdraw = () => reject(new RequestWithdrawn());
    });
    cut.catch(() => undefined); // the loser of the race may also reject
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      if (signal.aborted) throw new RequestWithdrawn();
      const answer = ask(cancellation, id);
      answer.catch(() => undefined);
      return await Promise.race([answer, cut]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', withdraw);
      this.#cancel(cancellation.end(), id);
    }
  }

  async #ask({ subject }: CheckParameters, body: readonly unknown[], cancellation: Cancellation): Promise<CheckReply> {
    const { busName, uid } = subject;
    if (busName !== undefined) await this.#expectOwner(busName, uid);
    const authority = await this.#authority();
    const reply = await cancellation.whileAsking(authority, () =>
      this.#call({
        destination: authority,
        path: PATH,
        interface: INTERFACE,
        member: 'CheckAuthorization',
        signature: '(sa{sv})sa{ss}us',
        body,
      }),
    );
    const answer = readResult(reply);
    // polkit also asks the bus for the owner of the name. If the name is gone by then, polkit before 0.119 takes the caller
    // for root (CVE-2021-3560): a yes counts only while the caller is still on the bus.
    if (answer.authorized && busName !== undefined) await this.#expectOwner(busName, uid);
    return answer;
  }

  /** Unique name of polkit, which is started when need be. Replies come from this name or are forged. */
  async #authority(): Promise<string> {
    const owner = await this.#owner();
    if (owner !== null) return owner;
    await this.#callBus('StartServiceByName', 'su', [NAME, 0]);
    const started = await this.#owner();
    if (started === null) throw new PolkitUnavailable('polkit was started but is not on the bus');
    return started;
  }

  async #owner(): Promise<string | null> {
    try {
      const { body, signature } = await this.#callBus('GetNameOwner', 's', [NAME]);
      return signature === 's' && typeof body[0] === 'string' ? body[0] : null;
    } catch (error) {
      if (error instanceof CallFailed && error.errorName === 'org.freedesktop.DBus.Error.NameHasNoOwner') return null;
      throw error;
    }
  }

  /** Checks that the bus name belongs to the user of the request. */
  async #expectOwner(busName: string, uid: number): Promise<void> {
    const { body, signature } = await this.#callBus('GetConnectionUnixUser', 's', [busName]);
    if (signature !== 'u' || body[0] !== uid)
      throw new PolkitUnavailable(`${busName} belongs to uid ${String(body[0])}, not to uid ${uid}`);
  }

  #callBus(member: string, signature: string, body: readonly unknown[]): Promise<dbus.Message> {
    return this.#call({ destination: BUS, path: BUS_PATH, interface: BUS, member, signature, body });
  }

  /**
   * Calls a method. dbus-next accepts any message with the call's serial as its reply. The bus sets the true sender of each message, so the
   * sender of a reply is checked here. An error may also come from the bus, when the destination is gone.
   */
  async #call(call: MethodCall): Promise<dbus.Message> {
    const { destination, interface: name, member } = call;
    let reply: dbus.Message | null;
    try {
      reply = await this.#bus.call(new dbus.Message({ ...call, body: [...call.body] }));
    } catch (error) {
      if (error instanceof dbus.DBusError) throw new CallFailed(`${name}.${member}`, error.type, error.text);
      throw new PolkitUnavailable(`${name}.${member}: ${(error as Error).message}`);
    }
    if (reply?.sender !== destination)
      throw new PolkitUnavailable(
        `${name}.${member}: the reply came from ${reply?.sender ?? 'no sender'}, not from ${destination}`,
      );
    return reply;
  }

  /** Asks polkit to cancel a request and ignores the reply. */
  #cancel(authority: string | null, id: string): void {
    if (authority === null) return;
    const cancel = {
      destination: authority,
      path: PATH,
      interface: INTERFACE,
      member: 'CancelCheckAuthorization',
      signature: 's',
      body: [id],
      flags: dbus.MessageFlag.NO_REPLY_EXPECTED,
    };
    this.#bus.send(new dbus.Message(cancel));
  }
}

/** State of a request that may be withdrawn. */
class Cancellation {
  #authority: string | null = null;
  #ended = false;

  /** @throws RequestWithdrawn when it ended before polkit was called */
  async whileAsking<Result>(authority: string, ask: () => Promise<Result>): Promise<Result> {
    if (this.#ended) throw new RequestWithdrawn();
    this.#authority = authority;
    try {
      return await ask();
    } finally {
      this.#authority = null;
    }
  }

  /** Ends the request. @returns the bus name to send the cancellation to, or null */
  end(): string | null {
    this.#ended = true;
    return this.#authority;
  }
}

class CallFailed extends PolkitUnavailable {
  readonly errorName: string;

  constructor(method: string, errorName: string, text: string) {
    super(`${method}: ${errorName}: ${text}`);
    this.errorName = errorName;
  }
}

/** Reads the result. Only `true` in the first place of exactly this type means yes. */
function readResult({ signature, body }: dbus.Message): CheckReply {
  const result: unknown = body[0];
  if (signature !== RESULT || !Array.isArray(result) || result.length !== 3)
    throw new PolkitUnavailable(`polkit replied with (${signature}), not with ${RESULT}`);
  const [authorized, challenge, details] = result as readonly unknown[];
  const dismissed = Object.entries(details as object).some(([key, text]) => key === 'polkit.dismissed' && text !== '');
  const yes = authorized === true;
  return { authorized: yes, challenge: !yes && challenge === true, dismissed: !yes && dismissed };
}
