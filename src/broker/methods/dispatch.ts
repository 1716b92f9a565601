/** The methods of org.perfbroker.Broker, one function each; what asks, opens or takes has files of its own. */
import { brokerError } from '../../model/errors/error_table.js';
import { isAdministrator } from '../../model/identity/subject.js';
import { actionsForEvents } from '../../policy/decide/authorization.js';
import { decide } from '../../policy/decide/decide.js';
import { ruleNames } from '../../policy/decide/rules_for.js';
import type * as Types from '../../interfaces/broker_types.js';
import type { MethodHandler, Replier } from '../../varlink/service.js';
import type { Broker } from '../broker.js';
import type { ClientConnection } from '../processes/client_connection.js';
import { decisionJson } from './request/denial.js';
import { downgrade, prepareDowngrade, redeemDowngrade } from './downgrade/method.js';
import { listGrants, mapped, revoke, watchGrants } from './grants.js';
import { open, prepareOpen, redeem } from './open/method.js';
import { vetRequest } from './open/request.js';
import { vetCaller, type WorkCall } from './request/identify_caller.js';
import { releaseTargets } from '../processes/targets.js';
import { VERSION } from '../../version.js';

type Handler = MethodHandler<ClientConnection>;
type WorkHandler = (call: WorkCall, reply: Replier) => Promise<void> | void;

export function brokerMethods(broker: Broker): Readonly<Record<string, Handler>> {
  return Object.fromEntries(
    Object.entries(workHandlers(broker)).map(([name, handler]) => [name, measured(broker, handler)]),
  );
}

function workHandlers(broker: Broker): Readonly<Record<string, WorkHandler>> {
  return {
    Describe: withoutFds((call, reply) => void reply.reply(describe(broker, call.context))),
    Open: (call, reply) => broker.run(() => open(broker, call, reply)),
    Explain: (call, reply) => broker.run(() => explain(broker, call, reply)),
    Downgrade: (call, reply) => broker.run(() => downgrade(broker, call, reply)),
    PrepareOpen: (call, reply) => broker.run(() => prepareOpen(broker, call, reply)),
    PrepareDowngrade: (call, reply) => broker.run(() => prepareDowngrade(broker, call, reply)),
    Redeem: withoutFds((call, reply) => broker.run(() => redeem(broker, call, reply))),
    RedeemDowngrade: withoutFds((call, reply) => broker.run(() => redeemDowngrade(broker, call, reply))),
    Mapped: withoutFds((call, reply) => mapped(broker, call, reply)),
    ListGrants: (call, reply) => broker.run(() => listGrants(broker, call, reply)),
    WatchGrants: withoutFds((call, reply) => watchGrants(broker, call, reply)),
    Revoke: (call, reply) => broker.run(() => revoke(broker, call, reply)),
  };
}

/** What a handler does before its first pause is measured here; what it does later it measures by itself. */
function measured(broker: Broker, handler: WorkHandler): Handler {
  return (call, reply) => {
    const work = broker.beginWork(call.context, call.context.subject);
    return work.timed(() => handler({ ...call, work }, reply));
  };
}

function withoutFds(handler: WorkHandler): WorkHandler {
  return (call, reply) => {
    if (call.fds.count > 0)
      throw brokerError('UnexpectedFds', 'method', `${call.method} takes no fds; ${call.fds.count} came along`);
    return handler(call, reply);
  };
}

function describe(broker: Broker, { subject }: ClientConnection): Types.DescribeReply {
  const { machine, tracepoints, ceiling, capability } = broker.dependencies;
  return {
    version: VERSION,
    kernel: machine.kernel,
    paranoid: machine.paranoid,
    capability,
    ceiling,
    pmus: [...machine.pmus].map(([name, type]) => ({ name, type })),
    tracepoints: tracepoints.size,
    onlineCpus: machine.onlineCpus,
    maxSampleRate: machine.maxSampleRate,
    policy: broker.policy.sources,
    caller: {
      pid: subject.pid,
      uid: subject.uid,
      gid: subject.gid,
      groups: subject.groups,
      administrator: isAdministrator(subject),
      ...(subject.unit === undefined ? {} : { unit: subject.unit }),
    },
    rules: ruleNames(broker.policy, subject),
  };
}

async function explain(broker: Broker, call: WorkCall, reply: Replier): Promise<void> {
  const parameters = call.parameters as unknown as Types.ExplainParameters;
  const caller = vetCaller(broker, call, parameters.sender, parameters.targets.length);
  const request = await vetRequest(parameters, call.fds, caller, broker.dependencies);
  call.work.timed(() => {
    try {
      const verdict = decide(request.policy, broker.policy);
      broker.noteDecision(caller.peer.subject, { verdict: verdict.kind, rule: verdict.rule });
      reply.reply({ decision: decisionJson(verdict, actionsForEvents(verdict.classes, request.specs)) });
    } finally {
      releaseTargets(request.targets);
    }
  });
}
