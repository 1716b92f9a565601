/** Describe and Explain: what the daemon offers, and what the policy would decide. They change nothing. */
import { isAdministrator, type Subject } from '../../model/identity/subject.js';
import { actionsForEvents } from '../../policy/decide/authorization.js';
import { decide } from '../../policy/decide/decide.js';
import { ruleNames } from '../../policy/decide/rules_for.js';
import type * as Types from '../../interfaces/broker_types.js';
import { VERSION } from '../../version.js';
import type { Decision } from '../audit/request_log.js';
import type { Machine } from '../host/machine.js';
import { releaseTargets } from '../processes/targets.js';
import type { Host } from './open/context.js';
import { vetRequest } from './open/request.js';
import type { Client, Reply, RequestContext, WorkCall } from './request/context.js';
import { decisionJson } from './request/denial.js';
import { identifyCaller } from './request/identify_caller.js';

export interface DescribeContext extends Pick<RequestContext, 'policy'> {
  readonly dependencies: Host & { readonly machine: Machine; readonly capability: string };
}

export type ExplainContext = RequestContext & {
  readonly dependencies: Host;
  /** For the log of requests. */
  noteDecision(subject: Subject, decision: Decision): void;
};

export function describe({ dependencies, policy }: DescribeContext, { subject }: Client, reply: Reply): void {
  const { machine, tracepoints, ceiling, capability } = dependencies;
  const answer: Types.DescribeReply = {
    version: VERSION,
    kernel: machine.kernel,
    paranoid: machine.paranoid,
    capability,
    ceiling,
    pmus: [...machine.pmus].map(([name, type]) => ({ name, type })),
    tracepoints: tracepoints.size,
    onlineCpus: machine.onlineCpus(),
    maxSampleRate: machine.maxSampleRate,
    policy: policy.sources,
    caller: {
      pid: subject.pid,
      uid: subject.uid,
      gid: subject.gid,
      groups: subject.groups,
      administrator: isAdministrator(subject),
      ...(subject.unit === undefined ? {} : { unit: subject.unit }),
    },
    rules: ruleNames(policy, subject),
  };
  reply.reply(answer);
}

export async function explain(context: ExplainContext, call: WorkCall, reply: Reply): Promise<void> {
  const parameters = call.parameters as unknown as Types.ExplainParameters;
  const caller = identifyCaller(context, call, parameters.sender, parameters.targets.length);
  const request = await vetRequest(parameters, call.fds, caller, context.dependencies);
  call.work.timed(() => {
    try {
      const verdict = decide(request.policy, context.policy);
      context.noteDecision(caller.peer.subject, { verdict: verdict.kind, rule: verdict.rule });
      reply.reply({ decision: decisionJson(verdict, actionsForEvents(verdict.classes, request.specs)) });
    } finally {
      releaseTargets(request.targets);
    }
  });
}
