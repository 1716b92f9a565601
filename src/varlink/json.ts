/** JSON from a peer that is not trusted: everything that could make JSON.parse or its users misbehave is refused first. */
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
  /** Arrays and objects within each other; the outermost object is one. */
  readonly depth: number;
  /** Values of any kind, at any depth, in arrays and as fields of objects, the outermost object included. */
  readonly values: number;
}

/** @throws ProtocolError unless the bytes are UTF-8 and one JSON object within the limits. Its message quotes nothing. */
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
 * On bytes and before parsing: cheap, without recursion. Agrees with JSON.parse on the depth of all that is valid JSON. Values
 * are counted by what comes before them, the bracket that opens an array or object or a comma: an empty one counts for two.
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
