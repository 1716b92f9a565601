/**
 * The broker. perfbrokerd takes every privilege away before it starts this. The broker decides by policy, has the opener open events, and
 * hands them over.
 */
import './lifecycle/undumpable.js';
import '../common/no_debugger.js';
import { dirname, join } from 'node:path';
import { SubordinateUids } from '../model/identity/subordinate_uids.js';
import { systemNames } from '../policy/load/names.js';
import { AuditLog } from './audit/audit.js';
import { Authorizer } from './ipc/authorizer.js';
import { Broker, type BrokerDependencies } from './broker.js';
import { openJournal } from './audit/journal.js';
import { createLogger, type Logger } from '../common/logger.js';
import { RequestLog } from './audit/request_log.js';
import { readMachine } from './host/machine.js';
import { helperMessageLine, type HelperMessage } from './ipc/helper_message.js';
import { OpenerClient } from './ipc/opener.js';
import { Lifecycle, loadWithWarnings, problemsOf } from './lifecycle/lifecycle.js';
import { parseOptions } from './options.js';
import { unprivilegedProof } from './lifecycle/proof.js';
import { Server } from './server.js';
import { measureSlowness } from './host/slowness.js';
import { Tracepoints } from './host/tracepoints.js';
import { TracerClient } from './ipc/tracer.js';

/** Exit codes; perfbrokerd exits with the same. */
const PRIVILEGED = 5;
/** A helper process died. perfbrokerd waits for it, and reports the cause. */
const HELPER_DIED = 6;
/** Something that the start needs is missing or invalid. */
const NOT_STARTED = 7;
const STDERR = 2;

/** User of the D-Bus front end, and its uid where that user does not exist. */
const FRONT_END = 'perfbroker-bus';
const FRONT_END_UID = 60913;
/** systemd listens in the name of the front end. */
const ROOT = 0;
/** In the folder of the broker's own socket. */
const AUTHORIZER_SOCKET = 'authorizer.sock';

type Helper = 'opener' | 'tracer';

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const journal = openJournal();
  const log = createLogger({ program: 'perfbroker', level: options.logLevel, journal });
  const excess = unprivilegedProof();
  if (excess.length > 0) {
    for (const { tid, what } of excess)
      log.error(`not serving: thread ${tid} of the broker is not unprivileged: ${what}`);
    process.exit(PRIVILEGED);
  }
  const subordinateUids = new SubordinateUids();
  const policy = orExit(log, () => loadWithWarnings(options, subordinateUids, log));
  const machine = orExit(log, readMachine);
  const debug = options.logLevel === 'debug';
  const onDeath =
    (helper: Helper) =>
    (reason: string): void => {
      log.error(`the ${helper} is gone: ${reason}`);
      process.exit(HELPER_DIED);
    };
  const onMessage =
    (helper: Helper) =>
    (message: HelperMessage): void => {
      if (debug) log.debug(helperMessageLine(helper, message));
    };
  const opener = new OpenerClient(options.opener, onDeath('opener'), onMessage('opener'));
  const tracer =
    options.tracer === null ? null : new TracerClient(options.tracer, onDeath('tracer'), onMessage('tracer'));
  await Promise.all([opener.ready(), tracer?.ready()]);
  const frontEnd = systemNames.user(FRONT_END) ?? FRONT_END_UID;
  const authorizer = new Authorizer({
    path: join(dirname(options.socket), AUTHORIZER_SOCKET),
    listeners: [ROOT, frontEnd],
    subordinateUids,
  });
  const dependencies: BrokerDependencies = {
    machine,
    tracepoints: new Tracepoints(options.tracepoints),
    ceiling: options.ceiling,
    capability: options.capability,
    opener,
    tracer,
    authorizer,
    frontEnd,
    subordinateUids,
    slowness: measureSlowness(),
    audit: new AuditLog(options.audit ?? journal ?? STDERR),
    log,
    requestLog: debug ? new RequestLog((line) => log.debug(line)) : null,
  };
  const broker = new Broker(dependencies, policy);
  const server = new Server(broker, options.listener);
  process.once('exit', () => server.refuseConnections());
  new Lifecycle(broker, server, options).begin();
  log.info(
    `serving on ${options.socket} with ${options.capability}, ceiling ${options.ceiling.join(',')}, policy ${policy.sources.join(', ')}`,
  );
}

/** Ends the process when `read` throws. */
function orExit<Result>(log: Logger, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    for (const problem of problemsOf(error)) log.error(`not serving: ${problem}`);
    process.exit(NOT_STARTED);
  }
}

await main();
