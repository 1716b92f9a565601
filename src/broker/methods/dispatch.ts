/** The handlers of org.perfbroker.Broker, by method name. */
import { brokerError } from '../../model/errors/error_table.js';
import type { MethodHandler } from '../../varlink/service.js';
import type { Work } from '../fairness/work.js';
import type { ClientConnection } from '../processes/client_connection.js';
import { describe, explain, type DescribeContext, type ExplainContext } from './describe.js';
import type { PrepareDowngradeContext } from './downgrade/context.js';
import { downgrade, prepareDowngrade, redeemDowngrade } from './downgrade/method.js';
import { listGrants, mapped, revoke, watchGrants, type GrantsContext } from './grants.js';
import type { PrepareOpenContext } from './open/context.js';
import { open, prepareOpen, redeem } from './open/method.js';
import type { Reply, WorkCall } from './request/context.js';

type Handler = MethodHandler<ClientConnection>;
type WorkHandler = (call: WorkCall, reply: Reply) => Promise<void> | void;

/** The broker, as all methods together see it. Each handler sees its own part. */
export type MethodsContext = DescribeContext &
  ExplainContext &
  GrantsContext &
  PrepareOpenContext &
  PrepareDowngradeContext & {
    /** Counts a request as running until it has been answered. */
    run(request: () => Promise<void>): Promise<void>;
    beginWork(client: ClientConnection, user: ClientConnection['subject'], tokens: number): Work;
  };

export function brokerMethods(context: MethodsContext): Readonly<Record<string, Handler>> {
  return Object.fromEntries(
    Object.entries(workHandlers(context)).map(([name, handler]) => [name, measured(context, handler)]),
  );
}

function workHandlers(context: MethodsContext): Readonly<Record<string, WorkHandler>> {
  return {
    Describe: withoutFds((call, reply) => describe(context, call.context, reply)),
    Open: (call, reply) => context.run(() => open(context, call, reply)),
    Explain: (call, reply) => context.run(() => explain(context, call, reply)),
    Downgrade: (call, reply) => context.run(() => downgrade(context, call, reply)),
    PrepareOpen: (call, reply) => context.run(() => prepareOpen(context, call, reply)),
    PrepareDowngrade: (call, reply) => context.run(() => prepareDowngrade(context, call, reply)),
    Redeem: withoutFds((call, reply) => context.run(() => redeem(context, call, reply))),
    RedeemDowngrade: withoutFds((call, reply) => context.run(() => redeemDowngrade(context, call, reply))),
    Mapped: withoutFds((call, reply) => mapped(context, call, reply)),
    ListGrants: (call, reply) => context.run(() => listGrants(context, call, reply)),
    WatchGrants: withoutFds((call, reply) => watchGrants(context, call, reply)),
    Revoke: (call, reply) => context.run(() => revoke(context, call, reply)),
  };
}

/** Measures the work of a handler until its first pause. The handler measures its later work itself. */
function measured(context: MethodsContext, handler: WorkHandler): Handler {
  return (call, reply) => {
    // `admitMessage` took one at least.
    const work = context.beginWork(call.context, call.context.subject, 1);
    return work.timed(() => handler({ ...call, work }, reply));
  };
}

function withoutFds(handler: WorkHandler): WorkHandler {
  return (call, reply) => {
    if (call.fds.count > 0)
      throw brokerError('UnexpectedFds', 'method', `${call.method} takes no fds; the call has ${call.fds.count}`);
    return handler(call, reply);
  };
}
