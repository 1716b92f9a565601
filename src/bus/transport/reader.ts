/** dbus-next's unmarshalling with a limit for the number of values. */
import { createRequire } from 'node:module';
import { CallError } from '../dbus_error.js';

/** Part of `[type, child[]]`, dbus-next's form of a signature. */
interface Tree {
  readonly type: string;
}

/** dbus-next has no types for this class. It reads every value, at any depth, through the two methods that are overridden below. */
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
 * Unmarshals values. Objects need up to thirty times the bytes of the message, and time: a message with too many values is refused while
 * they are counted. Also reads 64-bit integers in the byte order of the message, where dbus-next always assumes the low word first.
 */
export class Reader extends DBusBuffer {
  readonly #littleEndian: boolean;
  readonly #most: number;
  #count = 0;

  /** @param most maximum number of values, which include arrays, variants, dictionaries, their entries and keys */
  constructor(bytes: Buffer, endian: number, most: number) {
    super(bytes, 0, endian, []);
    this.#littleEndian = endian === LITTLE_ENDIAN;
    this.#most = most;
  }

  /** @throws CallError InvalidArgs for too many values */
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
