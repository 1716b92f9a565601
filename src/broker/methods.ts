/** The methods of org.perfbroker.Broker, one function each; Open has a file of its own. */
import { brokerError } from '../model/error_table.js';
import { isAdministrator } from '../model/subject.js';
import { decide } from '../policy/decide.js';
import { ruleNames } from '../policy/rules_for.js';
import type * as Types from '../varlink/broker_types.js';
import type { Call, MethodHandler, Replier } from '../varlink/service.js';
import type { Broker } from './broker.js';
import type { ClientConnection } from './client_connection.js';
import { decisionJson } from './denial.js';
import { downgrade } from './downgrade_method.js';
import type { Grant } from './grants.js';
import { open } from './open_method.js';
import { vetRequest } from './request.js';
import { releaseTargets } from './targets.js';
import { VERSION } from '../version.js';

type Handler = MethodHandler<ClientConnection>;

export function brokerMethods(broker: Broker): Readonly<Record<string, Handler>> {
  return {
    Describe: withoutFds((call, reply) => reply.reply(describe(broker, call.context))),
    Open: (call, reply) => broker.run(() => open(broker, call, reply)),
    Explain: (call, reply) => explain(broker, call, reply),
    Downgrade: (call, reply) => broker.run(() => downgrade(broker, call, reply)),
    Mapped: withoutFds((call, reply) => {
      void findGrant(broker, call).releaseRings();
      reply.reply({});
    }),
    ListGrants: withoutFds((call, reply) => reply.reply({ grants: listGrants(broker, call) })),
    Revoke: withoutFds((call, reply) => reply.reply(revoke(broker, call))),
  };
}

function withoutFds(handler: (call: Call<ClientConnection>, reply: Replier) => void): Handler {
  return (call, reply) => {
    if (call.fds.count > 0)
      throw brokerError('UnexpectedFds', 'method', `${call.method} takes no fds; ${call.fds.count} came along`);
    handler(call, reply);
  };
}

function describe(broker: Broker, { subject }: ClientConnection): Types.DescribeReply {
  const { machine, tracepoints, ceiling, capability } = broker.parts;
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

function explain(broker: Broker, call: Call<ClientConnection>, reply: Replier): void {
  const parameters = call.parameters as unknown as Types.ExplainParameters;
  broker.charge(call.context.subject, parameters.targets.length);
  const request = vetRequest(parameters, call.fds, call.context.peer, broker.parts);
  try {
    reply.reply({ decision: decisionJson(decide(request.policy, broker.policy)) });
  } finally {
    releaseTargets(request.targets);
  }
}

function listGrants(broker: Broker, call: Call<ClientConnection>): Types.Grant[] {
  const { subject } = call.context;
  const { all = false } = call.parameters as unknown as Types.ListGrantsParameters;
  if (all && !isAdministrator(subject))
    throw brokerError('PolicyDenied', 'not-administrator', "only an administrator lists everyone's grants", {
      details: { reasons: [] },
    });
  return broker.grants.list(all ? 'all' : subject.uid).map(grantJson);
}

function grantJson(grant: Grant): Types.Grant {
  const { subject, events, fds, ringBytes, rule, leaseSeconds } = grant.parts;
  return {
    id: grant.id,
    uid: subject.uid,
    pid: subject.pid,
    executable: subject.executable,
    targets: grant.targetNames,
    events,
    fds: fds.length,
    ringBytes,
    rule,
    ageSeconds: grant.ageSeconds,
    leaseSeconds,
  };
}

function revoke(broker: Broker, call: Call<ClientConnection>): Types.RevokeReply {
  const grant = findGrant(broker, call);
  const { subject } = call.context;
  if (grant.parts.subject.uid !== subject.uid)
    broker.record(subject, { action: 'revoke', verdict: 'allow', grant: grant.id, of: grant.parts.subject.uid });
  const { fds, disabled } = broker.grants.end(grant, 'revoked');
  return {
    fds,
    disabled,
    kept: `The holder keeps the ${fds} fds it was given: it can read what they counted and rings it has mapped, and enable them again. Only closing them, or the end of the target, ends them for good.`,
  };
}

function findGrant(broker: Broker, call: Call<ClientConnection>): Grant {
  const { subject } = call.context;
  const { grant: id } = call.parameters as unknown as Types.RevokeParameters;
  const grant = broker.grants.find(id, subject.uid, isAdministrator(subject));
  if (grant === null) throw brokerError('NoSuchGrant', 'unknown', 'there is no such grant of yours');
  return grant;
}
