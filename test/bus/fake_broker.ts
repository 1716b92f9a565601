/** Stands in for the broker where a test wants to say what it answers. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { native, READABLE } from '#dist/native.js';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import type { Connection } from '#dist/varlink/connection.js';
import { Service, type Call, type MethodHandler, type Replier } from '#dist/varlink/service.js';

export const DESCRIPTION = {
  version: '9.9',
  kernel: '6.12.0',
  paranoid: 3,
  capability: 'CAP_PERFMON',
  ceiling: ['user'],
  pmus: [],
  tracepoints: 7,
  onlineCpus: [0],
  maxSampleRate: 100000,
  policy: ['/etc/perfbroker/policy.toml'],
  caller: { pid: 1, uid: 60913, gid: 60913, groups: [], administrator: false },
  rules: [],
};

export const ALLOWED = { verdict: 'allow', rule: 'own', classes: ['user'], reasons: [] };

export function grantOf(uid: number, id = 'aa00'): Record<string, unknown> {
  return {
    id,
    uid,
    pid: 4242,
    executable: '/usr/bin/app',
    targets: ['process 4242'],
    events: 1,
    fds: 2,
    ringBytes: 8192,
    rule: 'own',
    ageSeconds: 3,
    leaseSeconds: 60,
  };
}

export interface FakeBroker {
  readonly socket: string;
  /** Method and parameters of every call, in order; the sender's process is looked at, not kept. */
  readonly calls: { readonly method: string; readonly parameters: Record<string, unknown> }[];
  /** Replace or add: by method name. */
  readonly handlers: Record<string, MethodHandler>;
  /** Live grants; ListGrants shows the sender's, and WatchGrants begins with them. */
  grants: Record<string, unknown>[];
  /** Notifies the watchers. */
  announce(change: 'added' | 'removed', grant: Record<string, unknown>, reason?: string): void;
  /** Connections there are. */
  readonly connections: number;
  /** Drops every connection, as a broker that ends. */
  dropAll(): void;
  close(): void;
}

export function startFakeBroker(directory: string): FakeBroker {
  const socket = join(directory, 'broker.sock');
  const listener = native.listenUnix(socket, 64);
  chmodSync(socket, 0o666);
  const connections = new Set<Connection>();
  const watchers = new Set<Replier>();
  let closed = false;
  const fake: FakeBroker = {
    socket,
    calls: [],
    grants: [],
    handlers: {
      Describe: (_, reply) => void reply.reply(DESCRIPTION),
      Explain: (_, reply) => void reply.reply({ decision: ALLOWED }),
      PrepareOpen: (_, reply) => void reply.reply({ ticket: 'T1', expiresSeconds: 30, decision: ALLOWED }),
      PrepareDowngrade: (_, reply) => void reply.reply({ ticket: 'T2', expiresSeconds: 30, decision: ALLOWED }),
      Revoke: (_, reply) => void reply.reply({ fds: 2, disabled: 1, kept: 'the fds' }),
      ListGrants: ({ parameters }, reply) => {
        const { uid } = parameters['sender'] as { uid: number };
        const all = parameters['all'] === true;
        reply.reply({ grants: fake.grants.filter((grant) => all || grant['uid'] === uid) });
      },
      WatchGrants: (_, reply) => {
        for (const grant of fake.grants) reply.continue({ change: 'present', grant });
        if (fake.grants.length === 0) reply.continue({ change: 'present' });
        watchers.add(reply);
        return new Promise(() => {});
      },
    },
    announce: (change, grant, reason) => {
      for (const watcher of watchers) watcher.continue({ change, grant, ...(reason !== undefined && { reason }) });
    },
    get connections() {
      return connections.size;
    },
    dropAll: () => {
      watchers.clear();
      for (const connection of [...connections]) connection.close();
    },
    close: () => {
      if (closed) return;
      closed = true;
      poller.close();
      native.close(listener);
      fake.dropAll();
    },
  };
  const handle = (name: string): MethodHandler => {
    return (call: Call, reply: Replier) => {
      fake.calls.push({ method: name, parameters: call.parameters });
      return fake.handlers[name]?.(call, reply);
    };
  };
  const service = new Service({
    vendor: 'test',
    product: 'test',
    version: '0',
    url: '',
    interfaces: [
      {
        definition: BROKER_INTERFACE,
        handlers: Object.fromEntries(Object.keys(BROKER_INTERFACE.methods).map((name) => [name, handle(name)])),
      },
    ],
    internalError: (error) => ({
      name: 'org.perfbroker.Broker.Unavailable',
      parameters: { code: 'internal', message: String(error), errno: 0, cause: '', remedy: '' },
    }),
    checkReplies: true,
  });
  const limits = { messageBytes: 1 << 20, maxFdsPerMessage: 8, depth: 16, queuedBytes: 1 << 20, queuedFds: 8 };
  const poller = native.createPoller(listener, () => {
    for (let accepted = native.accept(listener); accepted !== null; accepted = native.accept(listener)) {
      const connection: Connection = service.serve({
        socket: accepted,
        limits,
        context: undefined,
        onClose: () => connections.delete(connection),
      });
      connections.add(connection);
    }
  });
  poller.start(READABLE);
  return fake;
}
