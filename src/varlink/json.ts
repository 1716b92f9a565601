/** JSON from an untrusted peer. Limits are checked before JSON.parse sees the message. */
import { isUtf8 } from 'node:buffer';
import { ProtocolError } from './framing.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;

export interface JsonLimits {
  /** Maximum nesting of arrays and objects, including the outermost object. */
  readonly depth: number;
  /** Maximum number of values of any kind and depth, including the outermost object. */
  readonly values: number;
}

/** Parses one JSON object. @throws ProtocolError unless the bytes are UTF-8 and an object within the limits; it quotes no content */
export function parseJsonObject(bytes: Uint8Array, limits: JsonLimits): Record<string, unknown> {
  const exceeded = exceededLimit(bytes, limits);
  if (exceeded === 'depth') throw new ProtocolError(`JSON nested deeper than ${limits.depth}`);
  if (exceeded === 'values') throw new ProtocolError(`JSON of more than ${limits.values} values`);
  if (!isUtf8(bytes)) throw new ProtocolError('message is not UTF-8');
  const value = parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ProtocolError('message is not a JSON object');
  return value as Record<string, unknown>;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProtocolError('message is not JSON');
  }
}

/**
 * Checks the limits on bytes before parsing, without recursion. For valid JSON, the depth is the depth that JSON.parse sees. Values are
 * counted by the opening bracket or comma before them, so an empty array or object counts as two.
 * @returns the limit that is exceeded first, or null
 */
export function exceededLimit(
  bytes: Uint8Array,
  { depth: deepest, values: most }: JsonLimits,
): keyof JsonLimits | null {
  let depth = 0;
  let values = 1;
  let inString = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (inString) {
      if (byte === BACKSLASH) index++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      if (++depth > deepest) return 'depth';
      if (++values > most) return 'values';
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      depth--;
    } else if (byte === COMMA) {
      if (++values > most) return 'values';
    }
  }
  return null;
}
