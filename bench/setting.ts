/** Setting that all parts of the benchmark share: a daemon, an unprivileged user, and the programs. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { encodeAttr } from '#dist/model/events/attr/attr.js';
import { recordingEvents } from '#dist/collector/event_defaults.js';
import type { EventSpec } from '#dist/model/event.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { ALICE, readableTree } from '../test/e2e/as_user.js';
import { ROOT, startDaemon, type Daemon } from '../test/e2e/daemon.js';
import type { Programs } from './programs.js';
import { Worker } from './worker.js';

export const USER = ALICE;

/** Rates and quotas out of the way; everything that is checked otherwise is checked. */
const POLICY = `
[service]
requests_per_second = 1000000
burst = 1000000

[[rule]]
name = "own"
verdict = "allow"
subjects = { users = [${USER}] }
targets = { same_user = true }
classes = ["user"]
limits = { frequency = 4000, ring = "256 MiB", fds = 8192, grants = 2048 }
`;

export function startBroker(): Promise<Daemon> {
  return startDaemon({ policy: POLICY });
}

/** A tree that the user can read, with this benchmark in it. */
export function userTree(): string {
  const tree = readableTree();
  if (tree !== ROOT) cpSync(join(ROOT, 'build/bench'), join(tree, 'build/bench'), { recursive: true });
  return tree;
}

/** The event of every comparison, as `perfbroker record` asks for it. */
export function sampledEvent(inherit = false): EventSpec {
  const [event] = recordingEvents(parseEvents('cpu-clock:u'), { callGraph: false, inherit, enableOnExec: false });
  return event!;
}

/** The same as bytes, for a C program. */
export function attrDigits(event: EventSpec): string {
  return Buffer.from(encodeAttr(event, {}, { disabled: true })).toString('hex');
}

/** Starts a process of the user with `count` threads, all asleep. */
export async function startThreads(programs: Programs, count: number): Promise<Worker> {
  const target = new Worker(programs.path('threads'), [String(count)], { uid: USER });
  await target.next();
  return target;
}

/** A client of the broker; each repetition is one request. cpus 0: any cpu. */
export function startClient(socket: string, pid: number, cpus = 0, copies = 1): Worker {
  const script = join(userTree(), 'build/bench/client_worker.js');
  return new Worker(process.execPath, [script, String(pid), String(cpus), String(copies)], { uid: USER, socket });
}
