/** Converts errors to D-Bus error replies. No other file does this. */
import { BrokerError } from '../model/errors/errors.js';
import { VarlinkError } from '../client/errors.js';
import { ValidationError } from '../varlink/validate.js';

/** Names of org.freedesktop.DBus.Error that are sent. */
export type StandardError =
  | 'AccessDenied'
  | 'Failed'
  | 'InvalidArgs'
  | 'LimitsExceeded'
  | 'PropertyReadOnly'
  | 'UnknownInterface'
  | 'UnknownMethod'
  | 'UnknownObject'
  | 'UnknownProperty';

/** An error whose message is sent to the caller. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly error: StandardError;

  constructor(error: StandardError, message: string) {
    super(message);
    this.error = error;
  }
}

export interface ErrorReply {
  /** Full name, such as `org.perfbroker.Broker1.Error.PolicyDenied`. */
  readonly name: string;
  readonly message: string;
  /** True for a fault of this process: logged, and not described to the caller. */
  readonly internal: boolean;
}

/** Maximum characters of a message: the bus has no limit, but a dialog may show it. */
const MAX_MESSAGE = 2000;

/**
 * Returns the reply for an error. A BrokerError keeps its name below org.perfbroker.Broker1.Error; its message contains message, code,
 * cause and remedy as on the socket. An internal fault becomes Failed and discloses nothing.
 */
export function errorReply(error: unknown): ErrorReply {
  if (error instanceof BrokerError) {
    const { error: name, code, message, explanation: cause, remedy, details } = error;
    const text = [`${message} (${code})`, cause, remedy, ...reasonTexts(details['reasons'])].filter(
      (part) => part !== '',
    );
    return { name: `org.perfbroker.Broker1.Error.${name}`, message: shorten(text.join('\n')), internal: false };
  }
  if (error instanceof CallError)
    return { name: `org.freedesktop.DBus.Error.${error.error}`, message: shorten(error.message), internal: false };
  if (error instanceof ValidationError) return standard('InvalidArgs', error.message);
  if (error instanceof VarlinkError && error.error === 'org.varlink.service.InvalidParameter')
    return standard('InvalidArgs', `the broker does not take ${String(error.parameters['parameter'])}`);
  return { ...standard('Failed', 'a fault in perfbroker-bus; its log has the details'), internal: true };
}

function standard(name: StandardError, message: string): ErrorReply {
  return { name: `org.freedesktop.DBus.Error.${name}`, message: shorten(message), internal: false };
}

/** Shortens a message and replaces U+0000, which a D-Bus string cannot contain. */
function shorten(message: string): string {
  const clean = message.replaceAll('\0', '\u{fffd}');
  return clean.length > MAX_MESSAGE ? `${clean.slice(0, MAX_MESSAGE)}...` : clean;
}

function reasonTexts(reasons: unknown): string[] {
  if (!Array.isArray(reasons)) return [];
  return reasons.flatMap((reason: unknown) =>
    typeof reason === 'object' && reason !== null && 'text' in reason && typeof reason.text === 'string'
      ? [reason.text]
      : [],
  );
}
