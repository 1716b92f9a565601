import { parseArgs } from 'node:util';
import { EVENT_CLASSES, type EventClass } from '../model/event.js';
import type { Fd } from '../native.js';
import { LOG_LEVELS, type LogLevel } from '../common/logger.js';

/** Options that perfbrokerd passes to the broker; native/monitor writes them. */
export interface BrokerOptions {
  readonly socket: string;
  readonly ceiling: readonly EventClass[];
  /** The capability that the kernel requires: CAP_PERFMON or CAP_SYS_ADMIN. */
  readonly capability: string;
  readonly policy: string | undefined;
  readonly logLevel: LogLevel;
  readonly listener: Fd;
  readonly opener: Fd;
  /** Null without --audit. */
  readonly audit: Fd | null;
  readonly tracepoints: Fd | null;
  readonly tracer: Fd | null;
  /** Takes one zero byte when signals are handled; perfbrokerd holds them back until then. */
  readonly ready: Fd | null;
}

const LISTENER_FD = 3;
const OPENER_FD = 4;

export function parseOptions(argv: readonly string[]): BrokerOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      socket: { type: 'string' },
      ceiling: { type: 'string' },
      capability: { type: 'string' },
      policy: { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
      'audit-fd': { type: 'string' },
      'tracepoints-fd': { type: 'string' },
      'tracer-fd': { type: 'string' },
      'ready-fd': { type: 'string' },
    },
  });
  const ceiling = (values.ceiling ?? '').split(',');
  const known = EVENT_CLASSES.filter((name) => ceiling.includes(name));
  if (known.length !== ceiling.length) throw new Error(`unknown class in --ceiling ${values.ceiling ?? ''}`);
  const logLevel = LOG_LEVELS.find((level) => level === values['log-level']);
  if (logLevel === undefined) throw new Error(`--log-level is one of ${LOG_LEVELS.join(', ')}`);
  return {
    socket: values.socket ?? '',
    ceiling: known,
    capability: values.capability ?? '',
    policy: values.policy,
    logLevel,
    listener: LISTENER_FD,
    opener: OPENER_FD,
    audit: fdOption(values['audit-fd']),
    tracepoints: fdOption(values['tracepoints-fd']),
    tracer: fdOption(values['tracer-fd']),
    ready: fdOption(values['ready-fd']),
  };
}

function fdOption(text: string | undefined): Fd | null {
  if (text === undefined) return null;
  if (!/^\d{1,4}$/.test(text)) throw new Error(`${text} is not an fd`);
  return Number(text);
}
