import type {
  Decision,
  DescribeReply,
  DowngradedProcess,
  Grant as GrantRecord,
  RevokeReply,
} from '../varlink/broker_types.js';
import type { CallOptions, Channel } from './channel.js';
import { grantFromReplies, type Grant, type GrantHost } from './grant.js';
import { encodeDowngrade, encodeRequest, type DowngradeRequest, type OpenRequest } from './request.js';

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
    const grant = grantFromReplies(this.#host, parameters, replies);
    this.#grants.add(grant);
    return grant;
  }

  /**
   * Takes capabilities from a live process in all its threads, for good.
   * @returns what each thread had and has: the process first, then its descendants
   */
  async downgrade(request: DowngradeRequest): Promise<readonly DowngradedProcess[]> {
    const { parameters, fds } = encodeDowngrade(request);
    const reply = await this.#call('Downgrade', parameters, { timeoutMs: this.#timeoutMs, fds });
    return reply['processes'] as readonly DowngradedProcess[];
  }

  /** What the broker would decide about the request, and why. Opens nothing. */
  async explain(request: Omit<OpenRequest, 'downgrade'>): Promise<Decision> {
    const { parameters, fds } = encodeRequest(request);
    const reply = await this.#call('Explain', parameters, { ...this.#options(request), fds });
    return reply['decision'] as Decision;
  }

  /** One's own grants; with `all`, everyone's (administrators only). */
  async listGrants(options: { readonly all?: boolean } = {}): Promise<readonly GrantRecord[]> {
    const reply = await this.#call('ListGrants', options.all === true ? { all: true } : {});
    return reply['grants'] as readonly GrantRecord[];
  }

  /** Ends a grant at the broker; the reply says what a holder keeps. */
  async revoke(grant: string): Promise<RevokeReply> {
    return (await this.#call('Revoke', { grant })) as unknown as RevokeReply;
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

  #options(request: OpenRequest): CallOptions {
    // Nobody knows how long a human thinks.
    return { timeoutMs: request.allowInteractive === true ? 0 : this.#timeoutMs };
  }

  async #call(method: string, parameters: object, options?: CallOptions): Promise<Record<string, unknown>> {
    const [reply] = await this.#channel.call(method, parameters, options ?? { timeoutMs: this.#timeoutMs });
    return reply?.parameters ?? {};
  }
}
