import { parseArgs } from 'node:util';
import { DEFAULT_SOCKET } from '../client/connect.js';
import { LOG_LEVELS, type LogLevel } from '../common/logger.js';

export interface BusOptions {
  /** Path of the broker's socket. */
  readonly socket: string;
  /** Path of the authorizer socket when systemd passes none. Absent: authorization requests of the broker are not served. */
  readonly authorizer: string | undefined;
  /** Name of the user whose authorization requests are served. */
  readonly brokerUser: string | undefined;
  /** `system`, `session` or a D-Bus address. */
  readonly bus: string;
  /** Seconds without a call until the program exits; 0: never. */
  readonly idleExit: number;
  readonly logLevel: LogLevel;
}

const text = `Usage: perfbroker-bus [OPTION]...
The D-Bus front end of perfbroker: serves org.perfbroker.Broker1 as a client of the broker, and asks polkit for it.

  --socket PATH       the broker's socket (default: $PERFBROKER_SOCKET, else ${DEFAULT_SOCKET})
  --authorizer PATH   socket for authorization requests, when systemd passes none
  --broker-user USER  user whose authorization requests are served (default: perfbroker)
  --bus BUS           system, session or a D-Bus address (default: system)
  --idle-exit SECONDS exit after this time without calls, grants or authorization requests;
                      0: never (default: 0)
  --log-level LEVEL   ${LOG_LEVELS.join(', ')} (default: info)
  --help, --version

Exit codes:
  0  stopped by a signal, or idle
  1  could not start, or lost the connection to the bus
  2  invalid options
  4  refused to start: the process has a privilege
`;
/** Text of --help. */
export const HELP: string = text;

/** Parses the command line. @returns 'help' or 'version' for these options @throws Error for invalid options */
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
