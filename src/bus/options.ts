import { parseArgs } from 'node:util';
import { DEFAULT_SOCKET } from '../client/connect.js';
import { LOG_LEVELS, type LogLevel } from './log.js';

export interface BusOptions {
  /** The broker's. */
  readonly socket: string;
  /** Where to listen for the broker's questions when systemd passes no socket; absent: none are answered then. */
  readonly authorizer: string | undefined;
  /** Whose questions are answered: a user name. */
  readonly brokerUser: string | undefined;
  /** `system`, `session` or a D-Bus address. */
  readonly bus: string;
  /** Seconds without a call after which the program ends; 0: never. */
  readonly idleExit: number;
  readonly logLevel: LogLevel;
}

const text = `Usage: perfbroker-bus [OPTION]...
The D-Bus front end of perfbroker: serves org.perfbroker.Broker1 as a client of the broker, and asks polkit for it.

  --socket PATH       the broker's socket (default: $PERFBROKER_SOCKET, else ${DEFAULT_SOCKET})
  --authorizer PATH   where the broker asks, when systemd passes no socket
  --broker-user USER  whose questions are answered (default: perfbroker)
  --bus BUS           system, session or a D-Bus address (default: system)
  --idle-exit SECONDS end after so long without a call, a grant or a question; 0: never (default: 0)
  --log-level LEVEL   ${LOG_LEVELS.join(', ')} (default: info)
  --help, --version

Exit codes:
  0  ended by a signal, or idle
  1  could not start, or lost the bus
  2  wrong options
  4  refused to start: it has a privilege
`;
/** What --help prints. */
export const HELP: string = text;

/** @returns what to print instead, for --help and --version @throws Error for options that are not there */
export function parseOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): BusOptions | 'help' | 'version' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      socket: { type: 'string' },
      authorizer: { type: 'string' },
      'broker-user': { type: 'string' },
      bus: { type: 'string', default: 'system' },
      'idle-exit': { type: 'string', default: '0' },
      'log-level': { type: 'string', default: 'info' },
      help: { type: 'boolean' },
      version: { type: 'boolean' },
    },
  });
  if (values.help === true) return 'help';
  if (values.version === true) return 'version';
  const logLevel = LOG_LEVELS.find((level) => level === values['log-level']);
  if (logLevel === undefined) throw new Error(`--log-level is one of ${LOG_LEVELS.join(', ')}`);
  const idleExit = /^\d{1,6}$/.test(values['idle-exit']) ? Number(values['idle-exit']) : NaN;
  if (Number.isNaN(idleExit)) throw new Error('--idle-exit is a number of seconds, at most 999999');
  const fromEnvironment = env['PERFBROKER_SOCKET'];
  return {
    socket:
      values.socket ?? (fromEnvironment === undefined || fromEnvironment === '' ? DEFAULT_SOCKET : fromEnvironment),
    authorizer: values.authorizer,
    brokerUser: values['broker-user'],
    bus: values.bus,
    idleExit,
    logLevel,
  };
}
