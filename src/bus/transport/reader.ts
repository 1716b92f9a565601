/** dbus-next's unpacking of values, with a limit to how many there are. */
import { createRequire } from 'node:module';
import { CallError } from '../dbus_error.js';

/** Of `[type, child[]]`, as dbus-next parses signatures. */
interface Tree {
  readonly type: string;
}

/** dbus-next has no types for it. Every value, however deep, is read by the two methods that are overridden below. */
interface Unmarshaller {
  readonly buffer: Buffer;
  pos: number;
  align(power: number): void;
  read(signature: string): unknown[];
  readArray(element: object, bytes: number): unknown[];
  readTree(tree: Tree): unknown;
  readSimpleType(type: string): unknown;
}

const require = createRequire(import.meta.url);
const DBusBuffer = require('dbus-next/lib/dbus-buffer.js') as new (
  bytes: Buffer,
  start: number,
  endian: number,
  fds: readonly never[],
) => Unmarshaller;

export const LITTLE_ENDIAN = 0x6c;

/**
 * Bytes become up to thirty times as many bytes of objects, and take their time: who sends as many values as bytes is
 * refused while they are counted. And 64-bit integers have their words in the order that the message says, where
 * dbus-next takes the low one to be first always.
 */
export class Reader extends DBusBuffer {
  readonly #littleEndian: boolean;
  readonly #most: number;
  #count = 0;

  /** @param most values that may be in there; arrays, variants, dictionaries, their entries and keys are values, too */
  constructor(bytes: Buffer, endian: number, most: number) {
    super(bytes, 0, endian, []);
    this.#littleEndian = endian === LITTLE_ENDIAN;
    this.#most = most;
  }

  /** @throws CallError InvalidArgs when there are too many */
  override readTree(tree: Tree): unknown {
    if (++this.#count > this.#most) throw new CallError('InvalidArgs', `more than ${this.#most} values in one call`);
    return super.readTree(tree);
  }

  override readSimpleType(type: string): unknown {
    if (type !== 'x' && type !== 't') return super.readSimpleType(type);
    this.align(3);
    const at = this.pos;
    this.pos += 8;
    if (type === 'x') return this.#littleEndian ? this.buffer.readBigInt64LE(at) : this.buffer.readBigInt64BE(at);
    return this.#littleEndian ? this.buffer.readBigUInt64LE(at) : this.buffer.readBigUInt64BE(at);
  }
}
