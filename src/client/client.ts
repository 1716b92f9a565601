import type {
  Decision,
  DescribeReply,
  DowngradedProcess,
  Grant as GrantRecord,
  RevokeReply,
} from '../interfaces/broker_types.js';
import type { CallOptions, Channel } from './channel.js';
import { grantFromReplies, type Grant, type GrantHost } from './grant.js';
import { encodeDowngrade, encodeRequest, type DowngradeRequest, type OpenRequest } from './request.js';

export interface AskOptions {
  /** Whether a human may be asked, which takes as long as it takes; `close` takes the question back. */
  readonly allowInteractive?: boolean;
}

export interface ListOptions extends AskOptions {
  /** Everyone's. */
  readonly all?: boolean;
}

/** A connection to the broker. Every method throws BrokerError (or VarlinkError) when the broker says no or is gone. */
export class Client {
  readonly #channel: Channel;
  readonly #timeoutMs: number;
  readonly #grants = new Set<Grant>();
  readonly #host: GrantHost;

  /** @param timeoutMs for each call; 0: none. Use `connect` instead. */
  constructor(channel: Channel, timeoutMs: number) {
    this.#channel = channel;
    this.#timeoutMs = timeoutMs;
    this.#host = {
      mapped: (grant) => this.#call('Mapped', { grant }),
      revoke: (grant) => this.revoke(grant),
      list: () => this.listGrants(),
      forget: (grant) => this.#grants.delete(grant),
    };
  }

  /** Versions, kernel level, ceiling, PMUs, and who the broker takes this process for. */
  async describe(): Promise<DescribeReply> {
    return (await this.#call('Describe', {})) as unknown as DescribeReply;
  }

  /** Opens every event on every target. On any failure nothing stays open. */
  async open(request: OpenRequest): Promise<Grant> {
    const { parameters, fds } = encodeRequest(request);
    const options = { ...this.#options(request), fds, more: true };
    const replies = await this.#channel.call('Open', parameters, options);
    return this.#keep(grantFromReplies(this.#host, parameters, replies));
  }

  /**
   * Opens what a ticket stands for, which the D-Bus interface gave to this user. `event` and `target` of the grant's
   * events are indexes into the request that was made there.
   */
  async redeem(ticket: string): Promise<Grant> {
    const replies = await this.#channel.call('Redeem', { ticket }, { timeoutMs: this.#timeoutMs, more: true });
    return this.#keep(grantFromReplies(this.#host, null, replies));
  }

  /**
   * Takes capabilities from a live process in all its threads, for good.
   * @returns what each thread had and has: the process first, then its descendants
   */
  async downgrade(request: DowngradeRequest): Promise<readonly DowngradedProcess[]> {
    const { parameters, fds } = encodeDowngrade(request);
    const reply = await this.#call('Downgrade', parameters, { ...this.#options(request), fds });
    return reply['processes'] as readonly DowngradedProcess[];
  }

  /** {@link downgrade} for what a ticket stands for. */
  async redeemDowngrade(ticket: string): Promise<readonly DowngradedProcess[]> {
    const reply = await this.#call('RedeemDowngrade', { ticket });
    return reply['processes'] as readonly DowngradedProcess[];
  }

  /** What the broker would decide about the request, and why. Opens nothing. */
  async explain(request: Omit<OpenRequest, 'downgrade'>): Promise<Decision> {
    const { parameters, fds } = encodeRequest(request);
    const reply = await this.#call('Explain', parameters, { ...this.#options(request), fds });
    return reply['decision'] as Decision;
  }

  /** One's own grants; with `all`, everyone's: for administrators, and who polkit takes for one where a human may be asked. */
  async listGrants({ all = false, allowInteractive = false }: ListOptions = {}): Promise<readonly GrantRecord[]> {
    const parameters = { ...(all && { all }), ...(allowInteractive && { allowInteractive }) };
    const reply = await this.#call('ListGrants', parameters, this.#options({ allowInteractive }));
    return reply['grants'] as readonly GrantRecord[];
  }

  /** Ends a grant at the broker; the reply says what a holder keeps. Others' grants as with {@link listGrants}. */
  async revoke(grant: string, { allowInteractive = false }: AskOptions = {}): Promise<RevokeReply> {
    const parameters = { grant, ...(allowInteractive && { allowInteractive }) };
    return (await this.#call('Revoke', parameters, this.#options({ allowInteractive }))) as unknown as RevokeReply;
  }

  /** Closes every event of every grant, then the connection; with it the broker ends the grants. Idempotent. */
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
    // Nobody knows how long a human thinks.
    return { timeoutMs: allowInteractive === true ? 0 : this.#timeoutMs };
  }

  async #call(method: string, parameters: object, options?: CallOptions): Promise<Record<string, unknown>> {
    const [reply] = await this.#channel.call(method, parameters, options ?? { timeoutMs: this.#timeoutMs });
    return reply?.parameters ?? {};
  }
}
