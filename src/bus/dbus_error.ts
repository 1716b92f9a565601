/** The one place where what was thrown becomes what a caller on the bus is told. */
import { BrokerError } from '../model/errors/errors.js';
import { VarlinkError } from '../client/errors.js';
import { ValidationError } from '../varlink/validate.js';

/** Names of org.freedesktop.DBus.Error that we answer with. */
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

/** An answer to the caller; its message is for them. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly error: StandardError;

  constructor(error: StandardError, message: string) {
    super(message);
    this.error = error;
  }
}

export interface ErrorReply {
  /** Complete: `org.perfbroker.Broker1.Error.PolicyDenied`. */
  readonly name: string;
  readonly message: string;
  /** Not the caller's doing and nothing that they are told; for the log. */
  readonly internal: boolean;
}

/** The bus itself puts no limit on the text; whoever shows it in a dialog is glad of one. */
const MAX_MESSAGE = 2000;

/**
 * BrokerError keeps its name below org.perfbroker.Broker1.Error, and its message says code, cause and remedy: the same
 * words as on the socket. What is neither that nor a fault of the call is Failed, without a word of what went wrong inside.
 */
export function errorReply(error: unknown): ErrorReply {
  if (error instanceof BrokerError) {
    const { error: name, code, message, cause_: cause, remedy, details } = error;
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

/** U+0000 can not be in a D-Bus string. */
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
