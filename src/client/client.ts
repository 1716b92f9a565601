import type {
  Decision,
  DescribeReply,
  DowngradedProcess,
  Grant as GrantRecord,
  RevokeReply,
} from '../interfaces/broker_types.js';
import type { CallOptions, Channel } from './channel.js';
import { grantFromReplies, type Grant, type GrantHost } from './grant.js';
import { encodeDowngrade, encodeRequest, explainUnpinned, type DowngradeRequest, type OpenRequest } from './request.js';

export interface AskOptions {
  /** Allows an authorization prompt (polkit), which may take minutes. `close` withdraws the prompt. Default: false. */
  readonly allowInteractive?: boolean;
}

export interface ListOptions extends AskOptions {
  /** Lists the grants of all users. Default: false. */
  readonly all?: boolean;
}

/** A connection to the broker. Every method throws a BrokerError or VarlinkError when the broker refuses or is gone. */
export class Client {
  readonly #channel: Channel;
  readonly #timeoutMs: number;
  readonly #grants = new Set<Grant>();
  readonly #host: GrantHost;

  /** Use `connect` instead. @param timeoutMs limit for each call; 0: none */
  constructor(channel: Channel, timeoutMs: number) {
    this.#channel = channel;
    this.#timeoutMs = timeoutMs;
    this.#host = {
      mapped: (grant) => this.#call('Mapped', { grant }),
      revoke: (grant) => this.revoke(grant),
      list: () => this.listGrants(),
      connected: () => !channel.closed,
      forget: (grant) => this.#grants.delete(grant),
    };
  }

  /** Returns versions, the perf_event_paranoid level, the ceiling, PMUs, and the identity of this process as seen by the broker. */
  async describe(): Promise<DescribeReply> {
    return (await this.#call('Describe', {})) as unknown as DescribeReply;
  }

  /** Opens every event on every target. If one of them fails, none stays open. */
  async open(request: OpenRequest): Promise<Grant> {
    const { parameters, fds } = encodeRequest(request);
    const options = { ...this.#options(request), fds, more: true };
    const replies = await unpinned(this.#channel.call('Open', parameters, options), parameters.targets);
    return this.#keep(grantFromReplies(this.#host, parameters, replies));
  }

  /**
   * Opens the events of a ticket that the D-Bus interface issued to this user. `event` and `target` of the grant's events are
   * indexes into that request.
   */
  async redeem(ticket: string): Promise<Grant> {
    const replies = await this.#channel.call('Redeem', { ticket }, { timeoutMs: this.#timeoutMs, more: true });
    return this.#keep(grantFromReplies(this.#host, null, replies));
  }

  /**
   * Removes capabilities from all threads of a live process, irrevocably.
   * @returns the capabilities of each thread before and after: the process first, then its descendants
   */
  async downgrade(request: DowngradeRequest): Promise<readonly DowngradedProcess[]> {
    const { parameters, fds } = encodeDowngrade(request);
    const call = this.#call('Downgrade', parameters, { ...this.#options(request), fds });
    const reply = await unpinned(call, [parameters.target]);
    return reply['processes'] as readonly DowngradedProcess[];
  }

  /** Performs the {@link downgrade} of a ticket. */
  async redeemDowngrade(ticket: string): Promise<readonly DowngradedProcess[]> {
    const reply = await this.#call('RedeemDowngrade', { ticket });
    return reply['processes'] as readonly DowngradedProcess[];
  }

  /** Returns the decision that the broker would make about the request, and its reasons. Opens no event. */
  async explain(request: Omit<OpenRequest, 'downgrade'>): Promise<Decision> {
    const { parameters, fds } = encodeRequest(request);
    const call = this.#call('Explain', parameters, { ...this.#options(request), fds });
    const reply = await unpinned(call, parameters.targets);
    return reply['decision'] as Decision;
  }

  /** Returns the caller's own grants; with `all`, the grants of all users: for administrators, also those that polkit authorizes. */
  async listGrants({ all = false, allowInteractive = false }: ListOptions = {}): Promise<readonly GrantRecord[]> {
    const parameters = { ...(all && { all }), ...(allowInteractive && { allowInteractive }) };
    const reply = await this.#call('ListGrants', parameters, this.#options({ allowInteractive }));
    return reply['grants'] as readonly GrantRecord[];
  }

  /** Ends a grant at the broker. The reply says what its holder keeps. For grants of other users, see {@link listGrants}. */
  async revoke(grant: string, { allowInteractive = false }: AskOptions = {}): Promise<RevokeReply> {
    const parameters = { grant, ...(allowInteractive && { allowInteractive }) };
    return (await this.#call('Revoke', parameters, this.#options({ allowInteractive }))) as unknown as RevokeReply;
  }

  /** Closes every event of every grant, then the connection, whose end also ends the grants at the broker. Idempotent. */
  close(): Promise<void> {
    for (const grant of this.#grants) grant.closeEvents();
    this.#grants.clear();
    this.#channel.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #keep(grant: Grant): Grant {
    this.#grants.add(grant);
    return grant;
  }

  #options({ allowInteractive }: AskOptions): CallOptions {
    // An authorization prompt has no time limit.
    return { timeoutMs: allowInteractive === true ? 0 : this.#timeoutMs };
  }

  async #call(method: string, parameters: object, options?: CallOptions): Promise<Record<string, unknown>> {
    const [reply] = await this.#channel.call(method, parameters, options ?? { timeoutMs: this.#timeoutMs });
    return reply?.parameters ?? {};
  }
}

/** Awaits a call about these targets. */
async function unpinned<T>(call: Promise<T>, targets: readonly object[]): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw explainUnpinned(error, targets);
  }
}
