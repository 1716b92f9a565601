/** JSON from a peer that is not trusted: everything that could make JSON.parse or its users misbehave is refused first. */
import { isUtf8 } from 'node:buffer';
import { ProtocolError } from './framing.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * @param depth arrays and objects within each other; the outermost object is one
 * @throws ProtocolError unless the bytes are UTF-8 and one JSON object no deeper than `depth`. Its message quotes nothing.
 */
export function parseJsonObject(bytes: Uint8Array, depth: number): Record<string, unknown> {
  if (nestsDeeperThan(bytes, depth)) throw new ProtocolError(`JSON nested deeper than ${depth}`);
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

/** On bytes and before parsing: cheap, without recursion. Agrees with JSON.parse on all that is valid JSON. */
function nestsDeeperThan(bytes: Uint8Array, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (inString) {
      if (byte === BACKSLASH) index++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      if (++depth > limit) return true;
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      depth--;
    }
  }
  return false;
}
