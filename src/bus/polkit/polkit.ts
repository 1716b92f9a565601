/** Asks polkit, and believes nobody else. */
import dbus from 'dbus-next';
import type { CheckParameters, CheckReply } from '../../interfaces/authorizer_types.js';
import { checkAction, detailsDictionary, subjectStruct } from './polkit_question.js';

export { ACTIONS, QuestionError } from './polkit_question.js';

/** polkit can not be asked, or what came back is no answer of polkit's. */
export class PolkitUnavailable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PolkitUnavailable';
  }
}

/** Whoever asked does not wait for the answer any more. */
export class QuestionWithdrawn extends Error {
  constructor() {
    super('the question was taken back');
    this.name = 'QuestionWithdrawn';
  }
}

export interface PolkitOptions {
  /** Milliseconds for a question without a dialog; default 15 s. */
  readonly deadlineMs?: number;
  /** Milliseconds for a question with one; default 130 s. */
  readonly interactiveDeadlineMs?: number;
  /** Questions under way about one uid; default 4. */
  readonly perUser?: number;
  /** Questions under way; default 64. dbus-daemon lets a connection wait for 128 replies. */
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

/** The broker gives up after 10 s and 120 s and hangs up; these are for when it does not. */
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
 * org.freedesktop.PolicyKit1.Authority over one bus connection. Nothing is remembered from one question to the next: polkit
 * may come, go and be restarted in between.
 */
export class PolkitAuthority {
  readonly #bus: dbus.MessageBus;
  readonly #options: Required<PolkitOptions>;
  readonly #perUser = new Map<number, number>();
  #pending = 0;
  #lastQuestion = 0;

  /** @param bus connected; whoever made it watches for its end */
  constructor(bus: dbus.MessageBus, options: PolkitOptions = {}) {
    this.#bus = bus;
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Questions under way. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * @param signal takes the question back: polkit is told, and closes its dialog
   * @throws QuestionError, PolkitUnavailable, QuestionWithdrawn
   */
  async check(question: CheckParameters, signal: AbortSignal): Promise<CheckReply> {
    const subject = subjectStruct(question.subject);
    const action = checkAction(question.action);
    const details = detailsDictionary(question.details);
    const { uid } = question.subject;
    this.#enter(uid);
    try {
      return await this.#withDeadline(question, signal, (cancelled, id) =>
        this.#ask(question, [subject, action, details, question.interactive ? ALLOW_INTERACTION : 0, id], cancelled),
      );
    } finally {
      this.#leave(uid);
    }
  }

  #enter(uid: number): void {
    const own = this.#perUser.get(uid) ?? 0;
    const { perUser, total } = this.#options;
    if (own >= perUser) throw new PolkitUnavailable(`${own} of ${perUser} questions about uid ${uid} are under way`);
    if (this.#pending >= total) throw new PolkitUnavailable(`${this.#pending} of ${total} questions are under way`);
    this.#perUser.set(uid, own + 1);
    this.#pending += 1;
  }

  #leave(uid: number): void {
    this.#pending -= 1;
    const own = (this.#perUser.get(uid) ?? 1) - 1;
    if (own === 0) this.#perUser.delete(uid);
    else this.#perUser.set(uid, own);
  }

  /** Ends when `ask` does, when the question is taken back, or at the deadline: whichever is first. */
  async #withDeadline(
    { interactive }: CheckParameters,
    signal: AbortSignal,
    ask: (cancellation: Cancellation, id: string) => Promise<CheckReply>,
  ): Promise<CheckReply> {
    const id = `perfbroker-${++this.#lastQuestion}`;
    const ms = interactive ? this.#options.interactiveDeadlineMs : this.#options.deadlineMs;
    const cancellation = new Cancellation();
    let timer: NodeJS.Timeout | undefined;
    let withdraw = (): void => undefined;
    const cut = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new PolkitUnavailable(`polkit did not answer within ${ms} ms`)), ms);
      withdraw = () => reject(new QuestionWithdrawn());
    });
    cut.catch(() => undefined); // whichever of both loses the race may fail, too
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      if (signal.aborted) throw new QuestionWithdrawn();
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
    // polkit, too, asks the bus who the name is. Were it gone by then, an old polkit would take it for root's
    // (CVE-2021-3560): a yes counts when the caller is still there to be spoken of.
    if (answer.authorized && busName !== undefined) await this.#expectOwner(busName, uid);
    return answer;
  }

  /** Unique name of polkit, which is started when need be. Replies come from this name or are forged. */
  async #authority(): Promise<string> {
    const owner = await this.#owner();
    if (owner !== null) return owner;
    await this.#callBus('StartServiceByName', 'su', [NAME, 0]);
    const started = await this.#owner();
    if (started === null) throw new PolkitUnavailable('polkit was started and is not there');
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

  /** The caller must be on the bus, as the user that the question is about. */
  async #expectOwner(busName: string, uid: number): Promise<void> {
    const { body, signature } = await this.#callBus('GetConnectionUnixUser', 's', [busName]);
    if (signature !== 'u' || body[0] !== uid)
      throw new PolkitUnavailable(`${busName} is of uid ${String(body[0])} and not of uid ${uid}`);
  }

  #callBus(member: string, signature: string, body: readonly unknown[]): Promise<dbus.Message> {
    return this.#call({ destination: BUS, path: BUS_PATH, interface: BUS, member, signature, body });
  }

  /**
   * dbus-next takes any message that names the call's serial for its reply. The bus stamps each message with its true
   * sender, so: only whom we asked can answer. An error may also be the bus's own, when whom we asked is gone.
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
      throw new PolkitUnavailable(`${name}.${member}: ${reply?.sender ?? 'nobody'} answered, not ${destination}`);
    return reply;
  }

  /** Tells polkit to forget a question; its answer to this does not matter. */
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

/** Where a question lies at the moment. */
class Cancellation {
  #authority: string | null = null;
  #ended = false;

  /** @throws QuestionWithdrawn when it ended before polkit was asked */
  async whileAsking<Result>(authority: string, ask: () => Promise<Result>): Promise<Result> {
    if (this.#ended) throw new QuestionWithdrawn();
    this.#authority = authority;
    try {
      return await ask();
    } finally {
      this.#authority = null;
    }
  }

  /** @returns whom to tell that nobody waits for the answer any more */
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

/** The decision, not that there was a reply: yes is `true` in the first place of exactly this type. */
function readResult({ signature, body }: dbus.Message): CheckReply {
  const result: unknown = body[0];
  if (signature !== RESULT || !Array.isArray(result) || result.length !== 3)
    throw new PolkitUnavailable(`polkit answered with (${signature}), not with ${RESULT}`);
  const [authorized, challenge, details] = result as readonly unknown[];
  const dismissed = Object.entries(details as object).some(([key, text]) => key === 'polkit.dismissed' && text !== '');
  const yes = authorized === true;
  return { authorized: yes, challenge: !yes && challenge === true, dismissed: !yes && dismissed };
}
