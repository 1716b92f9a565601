/** One line for each request, for --log-level debug. Decisions go to the audit log in any case. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { BrokerError } from '../../model/errors/errors.js';
import { quote } from '../../common/quote.js';
import type { Subject } from '../../model/identity/subject.js';
import type { ErrorReply } from '../../varlink/service.js';

type Caller = Pick<Subject, 'uid' | 'pid'>;

export interface Decision {
  readonly verdict: string;
  readonly rule?: unknown;
}

export interface RequestLine {
  /** Without its interface. */
  readonly method: string;
  readonly caller: Caller;
  /** Null when the policy was not asked. */
  readonly decision: Decision | null;
  /** Null when the request was answered without an error. */
  readonly error: unknown;
  readonly ms: number;
}

/** `Open of uid 1000 pid 77: deny by rule "own", PolicyDenied no-rule, 3.1 ms`. It has no parameter of the request: one may be a ticket. */
export function requestLine({ method, caller, decision, error, ms }: RequestLine): string {
  const by = typeof decision?.rule === 'string' ? ` by rule "${decision.rule}"` : '';
  const outcome = [
    ...(decision === null ? [] : [`${decision.verdict}${by}`]),
    ...(error !== null ? [errorText(error)] : decision === null ? ['answered'] : []),
  ];
  return `${method} of uid ${caller.uid} pid ${caller.pid}: ${outcome.join(', ')}, ${ms.toFixed(1)} ms`;
}

function errorText(error: unknown): string {
  return error instanceof BrokerError ? `${error.error} ${error.code}` : error instanceof Error ? error.name : 'failed';
}

/** The last part of a name. A client can send any text as the name of a method. */
function methodName(method: string): string {
  const name = method.slice(method.lastIndexOf('.') + 1);
  return /^[A-Za-z]{1,40}$/.test(name) ? name : quote(name, 40);
}

interface Running {
  caller: Caller;
  decision: Decision | null;
}

/** Knows which request is running where a decision is made, so that nothing between the two has to pass it on. */
export class RequestLog {
  readonly #running = new AsyncLocalStorage<Running>();
  readonly #log: (line: string) => void;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /**
   * Logs a request when `handle` has ended.
   * @param caller the client; the decision may name another caller, for whom the client speaks
   */
  async run(method: string, caller: Caller, handle: () => Promise<void> | void): Promise<void> {
    const running: Running = { caller, decision: null };
    const begin = performance.now();
    let error: unknown = null;
    try {
      await this.#running.run(running, handle);
    } catch (thrown) {
      error = thrown;
      throw thrown;
    } finally {
      const { caller: subject, decision } = running;
      this.#log(requestLine({ method, caller: subject, decision, error, ms: performance.now() - begin }));
    }
  }

  /**
   * Logs a request that no handler has seen: it came too fast, during a shutdown, or is malformed.
   * @param method as the client sent it; undefined when the message was not parsed
   */
  refused({ uid, pid }: Caller, { name, parameters }: ErrorReply, method: unknown): void {
    const called = typeof method === 'string' ? methodName(method) : 'a message';
    const code = 'code' in parameters && typeof parameters.code === 'string' ? ` ${parameters.code}` : '';
    this.#log(`${called} of uid ${uid} pid ${pid}: refused, ${name.slice(name.lastIndexOf('.') + 1)}${code}`);
  }

  /** The decision about the request that is running; the last one counts. */
  note(caller: Caller, decision: Decision): void {
    const running = this.#running.getStore();
    if (running === undefined) return;
    running.caller = caller;
    running.decision = decision;
  }
}
