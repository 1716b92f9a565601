/** perfbroker-bus: the D-Bus front end. Holds no privilege, and does not start with one. */
import '../common/no_debugger.js';
import { readdirSync, readFileSync } from 'node:fs';
import dbus from 'dbus-next';
import { SubordinateUids } from '../model/identity/subordinate_uids.js';
import { privilegesIn, statusFields } from '../common/proc_status.js';
import { VERSION } from '../version.js';
import { ByteBudget } from './transport/byte_budget.js';
import { serveAuthorizer, type Authorizer } from './polkit/authorizer.js';
import { bindListener, brokerUid, passedListener } from './polkit/authorizer_listener.js';
import { BrokerCalls } from './broker/broker_calls.js';
import { BrokerObject } from './objects/broker_object.js';
import { BusDriver, goneName } from './callers/bus_driver.js';
import { CALLER_LIMITS, Callers } from './callers/callers.js';
import { busSocket, connectBus } from './transport/connect.js';
import { GrantList } from './objects/grant_list.js';
import { GrantWatch } from './objects/grant_watch.js';
import { IdleTimer } from '../common/idle_timer.js';
import { createLogger, type Logger } from '../common/logger.js';
import { HELP, parseOptions, type BusOptions } from './options.js';
import { PolkitAuthority } from './polkit/polkit.js';
import { BUS_NAME, Service } from './objects/service.js';
import { announce } from './objects/signals.js';

const FAILED = 1;
const USAGE = 2;
const PRIVILEGED = 4;
/** Interval in milliseconds of checks whether all calls were answered. */
const DRAIN_MS = 20;
/** Milliseconds for the calls under way when the program exits. */
const GRACE_MS = 5000;

async function main(): Promise<void> {
  const options = optionsOrExit();
  const log = createLogger({ program: 'perfbroker-bus', level: options.logLevel });
  refusePrivileges(log);
  try {
    await serve(options, log);
  } catch (error) {
    log.error(`cannot serve: ${(error as Error).message}`);
    process.exit(FAILED);
  }
}

function optionsOrExit(): BusOptions {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (typeof options === 'object') return options;
    process.stdout.write(options === 'help' ? HELP : `perfbroker-bus ${VERSION}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`perfbroker-bus: ${(error as Error).message}\nTry: perfbroker-bus --help\n`);
    process.exit(USAGE);
  }
}

/** Exits if a thread has a privilege. Every user of the machine can reach this process, so it must have nothing to steal. */
function refusePrivileges(log: Logger): void {
  const tasks = readdirSync('/proc/self/task');
  for (const tid of tasks) {
    const held = privilegesIn(statusFields(readFileSync(`/proc/self/task/${tid}/status`, 'latin1')));
    for (const what of held) log.error(`not serving: thread ${tid} has a privilege: ${what}`);
    if (held.length > 0) process.exit(PRIVILEGED);
  }
}

async function serve(options: BusOptions, log: Logger): Promise<void> {
  const connection = await connectBus(busSocket(options.bus));
  // A separate connection: if callers who do not read make the bus stop reading from the other one, polkit stays reachable.
  const polkit = await connectBus(busSocket(options.bus));
  const { bus } = connection;
  const driver = new BusDriver(bus);
  // Loaded once: this process exits when idle.
  const subordinateUids = new SubordinateUids();
  subordinateUids.load((text) => log.warn(text));
  const callers = new Callers(driver, CALLER_LIMITS, new ByteBudget(), subordinateUids);
  const broker = new BrokerCalls(options.socket);
  const grants = new GrantList(broker);
  const watch = new GrantWatch(options.socket, log, (change) => announce(bus, callers, grants, change));
  const authorizer = startAuthorizer(options, new PolkitAuthority(polkit.bus), log);
  const underWay = (): boolean => callers.calls > 0 || (authorizer?.pending ?? 0) > 0;
  let lastCallMs = performance.now();
  const idle = new IdleTimer({
    lastActivityMs: () => lastCallMs,
    busy: () => watch.size > 0 || underWay(),
    onIdle: () => void end('idle'),
  });
  idle.start(options.idleExit);
  const onCall = (): void => {
    lastCallMs = performance.now();
    watch.ensure();
  };
  connection.onSent = ({ type, destination }, bytes) => {
    if (!destination.startsWith(':')) return;
    if (type === dbus.MessageType.SIGNAL) callers.chargeSignal(destination, bytes);
    else callers.charge(destination, bytes);
  };
  new Service({ connection, callers, broker, brokerObject: new BrokerObject(broker, grants), grants, log, onCall });
  bus.on('message', (message) => {
    const name = goneName(message);
    if (name !== null) callers.leave(name);
  });

  /**
   * Exits after the calls under way. Releases the listening socket and the bus name first, so that later calls start another
   * process.
   */
  let ending = false;
  const end = async (reason: string): Promise<void> => {
    if (ending) return;
    ending = true;
    log.info(`ending: ${reason}`);
    idle.stop();
    authorizer?.stopListening();
    const deadline = setTimeout(() => process.exit(0), GRACE_MS);
    // If the bus does not reply to this, there is no name to release.
    await driver.releaseName(BUS_NAME).catch((error: unknown) => log.warn((error as Error).message));
    while (underWay()) await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
    authorizer?.close();
    watch.close();
    bus.disconnect();
    polkit.bus.disconnect();
    await Promise.all([connection.closed, polkit.closed]);
    clearTimeout(deadline);
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end(signal));
  void Promise.race([connection.closed, polkit.closed]).then((reason) => {
    if (ending) return;
    log.error(`the bus is gone: ${reason}`);
    process.exit(FAILED);
  });

  // Before the first call: the entry of a caller must be removed when the caller leaves the bus.
  await driver.watchLeaving();
  if (!(await driver.requestName(BUS_NAME))) throw new Error(`another process owns the name ${BUS_NAME}`);
  log.info(`serving ${BUS_NAME} for the broker on ${options.socket}`);
}

function startAuthorizer(options: BusOptions, authority: PolkitAuthority, log: Logger): Authorizer | null {
  const listener = passedListener() ?? (options.authorizer === undefined ? null : bindListener(options.authorizer));
  if (listener === null) {
    log.warn('no authorizer socket: requests that require authorization are denied');
    return null;
  }
  return serveAuthorizer({ listener, brokerUid: brokerUid(options.brokerUser), authority, log });
}

await main();
