/**
 * The connection below dbus-next's MessageBus. It replaces dbus-next's own connection, in which
 * - a message of signature `h` without an fd throws in a stream callback and ends the process: any client can send one;
 * - messages of any size are buffered and unmarshalled (the bus allows 32 MiB, which become gigabytes of objects);
 * - received fds are never closed.
 * This connection does not negotiate fd passing, so the bus does not deliver messages with fds; it skips a message that is too long
 * while it arrives; and the body of a call is unmarshalled only when its handler reads it.
 */
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { createConnection, type Socket } from 'node:net';
import dbus from 'dbus-next';
import { LITTLE_ENDIAN, Reader } from './reader.js';

/** Maximum bytes of a message body. The longest valid list, 16 events with every field, has 29 KiB. */
export const MAX_BODY: number = 64 * 1024;
/** Maximum bytes of header fields: paths, names (the bus allows 255 bytes each), and unknown fields, which are skipped. */
const MAX_FIELDS = 64 * 1024;
/** Maximum values in a body. 16 events with every field have about 4,400; an `av` of 64 KiB would have 32,000 and take 200 ms. */
const MAX_VALUES = 10_000;
/** Maximum values in the header fields: 9 fields with 4 values each, plus a reserve for future fields. */
const MAX_FIELD_VALUES = 200;
const FIXED_HEADER = 16;
/** Bytes waiting for the bus above which nothing more is read from it. */
const HIGH_WATER = 1024 * 1024;
/**
 * Milliseconds that bytes may wait for the bus. dbus-daemon stops reading from a connection whose unread messages to other connections
 * reach 127 MiB, for as long as these do not read. Only a new connection, with nothing charged to it, can continue then.
 */
const STUCK_MS = 30_000;
const MAX_HANDSHAKE = 4096;
const BUS = 'org.freedesktop.DBus';

/** A method call. */
export interface IncomingCall {
  /** The message without its body. */
  readonly message: dbus.Message;
  /** Bytes of header fields and body. */
  readonly bytes: number;
  /** Unmarshals the body; throws when it is invalid. Null: the body was too long and was skipped. */
  readonly body: (() => unknown[]) | null;
}

export interface TransportEvents {
  connect: [];
  /** Any message except calls and signals that the bus itself did not send. */
  message: [dbus.Message];
  call: [IncomingCall];
  /** A sent message with its size in bytes. */
  sent: [dbus.Message, number];
  /** The connection ended, for this reason. No other event follows. */
  closed: [string];
  error: [Error];
}

// dbus-next has no exports map, and no types for these.
const require = createRequire(import.meta.url);
const [headerArray] = require('dbus-next/lib/header-signature.json') as [{ child: [object] }];
const { headerTypeName } = require('dbus-next/lib/constants.js') as { headerTypeName: (string | null)[] };
const { marshallMessage, messageToJsFmt } = require('dbus-next/lib/marshall-compat.js') as {
  readonly marshallMessage: (message: dbus.Message) => [Buffer, unknown[]];
  readonly messageToJsFmt: (message: dbus.MessageLike) => dbus.MessageLike;
};

interface Header {
  readonly fields: dbus.MessageLike;
  readonly length: number;
  readonly bodyLength: number;
  readonly endian: number;
}

export class Transport extends EventEmitter<TransportEvents> {
  /** Ended by MessageBus. */
  readonly stream: Socket;
  /** Messages that MessageBus sends before the handshake is complete; null after it. */
  #early: dbus.Message[] | null = [];
  #received: Buffer = Buffer.alloc(0);
  #header: Header | null = null;
  #skip = 0;
  #stuck: NodeJS.Timeout | null = null;
  /** True while nothing is read because too many bytes wait for the bus. */
  #full = false;
  #closed = false;

  readonly #stuckMs: number;

  /** @param path of the bus's socket */
  constructor(path: string, stuckMs: number = STUCK_MS) {
    super();
    this.#stuckMs = stuckMs;
    this.stream = createConnection(path);
    this.stream.setNoDelay(true);
    this.stream.on('connect', () => this.stream.write(`\0AUTH EXTERNAL ${hex(String(process.getuid?.() ?? 0))}\r\n`));
    this.stream.on('data', (chunk) => this.#onData(chunk));
    this.stream.on('drain', () => this.#drained());
    this.stream.on('error', (error) => this.#close(error.message));
    this.stream.on('close', () => this.#close('the bus closed the connection'));
  }

  /** Sends a message; called by MessageBus. Without a connection, the message is dropped. */
  message(message: dbus.Message): void {
    if (this.#early !== null) this.#early.push(message);
    else this.#write(message);
  }

  #write(message: dbus.Message): void {
    if (this.#closed || !this.stream.writable) return;
    const [bytes] = marshallMessage(withoutInternals(message));
    this.emit('sent', message, bytes.length);
    this.stream.write(bytes, () => this.#taken());
    const reason = `the bus did not read for ${this.#stuckMs / 1000} s`;
    this.#stuck ??= setTimeout(() => this.#close(reason), this.#stuckMs);
    if (this.stream.writableLength <= HIGH_WATER) return;
    this.#full = true;
    this.stream.pause();
  }

  /** Restarts or stops the timer after a write. The timer runs for any number of waiting bytes. */
  #taken(): void {
    if (this.#stuck === null || this.#closed) return;
    if (this.stream.writableLength > 0) this.#stuck.refresh();
    else {
      clearTimeout(this.#stuck);
      this.#stuck = null;
    }
  }

  #drained(): void {
    this.#full = false;
    this.stream.resume();
  }

  /** Reads one chunk per turn of the event loop, so that a flood of messages does not delay timers and replies of polkit. */
  #onData(chunk: Buffer): void {
    this.#receive(chunk);
    this.stream.pause();
    setImmediate(() => {
      if (!this.#full) this.stream.resume();
    });
  }

  #receive(chunk: Buffer): void {
    if (this.#skip >= chunk.length) {
      this.#skip -= chunk.length;
      return;
    }
    const rest = chunk.subarray(this.#skip);
    this.#skip = 0;
    this.#received = this.#received.length === 0 ? rest : Buffer.concat([this.#received, rest]);
    if (this.#early !== null && !this.#handshake()) return;
    while (!this.#closed && this.#next());
  }

  /** Completes the handshake. @returns true when messages may follow */
  #handshake(): boolean {
    const end = this.#received.indexOf('\r\n');
    if (end < 0) {
      if (this.#received.length > MAX_HANDSHAKE) this.#close('the reply of the bus to the handshake is too long');
      return false;
    }
    const line = this.#received.toString('latin1', 0, end);
    this.#received = this.#received.subarray(end + 2);
    if (!line.startsWith('OK ')) {
      this.#close(`the bus rejected this user: ${line.slice(0, 100)}`);
      return false;
    }
    this.stream.write('BEGIN\r\n');
    const early = this.#early ?? [];
    this.#early = null;
    for (const message of early) this.#write(message);
    this.emit('connect');
    return true;
  }

  /** Takes one message from the received bytes. @returns true when there may be another */
  #next(): boolean {
    const header = this.#header ?? this.#readHeader();
    if (header === null) return false;
    if (header === 'skipped') return this.#received.length > 0;
    if (header.bodyLength > MAX_BODY) {
      this.#drop(header.bodyLength);
      this.#deliver(header, null);
      return this.#received.length > 0;
    }
    this.#header = header;
    if (this.#received.length < header.bodyLength) return false;
    this.#header = null;
    this.#deliver(header, this.#take(header.bodyLength));
    return true;
  }

  /** Emits a message. A message that dbus-next considers invalid is dropped. */
  #deliver(header: Header, body: Buffer | null): void {
    let message: dbus.Message;
    try {
      message = new dbus.Message({ ...header.fields, body: [] });
      if (message.type !== dbus.MessageType.METHOD_CALL) {
        // Any client can send signals to this process. They are dropped before they are unmarshalled, which takes time.
        const fromOther = message.type === dbus.MessageType.SIGNAL && message.sender !== BUS;
        if (body === null || fromOther) return;
        message.body = unpack(header, body);
      }
    } catch {
      return;
    }
    if (message.type !== dbus.MessageType.METHOD_CALL) this.emit('message', message);
    else {
      // A copy, because a view would keep the whole received chunk in memory.
      const own = body === null ? null : Buffer.from(body);
      const bytes = header.length + (own?.length ?? 0);
      this.emit('call', { message, bytes, body: own === null ? null : () => unpack(header, own) });
    }
  }

  #readHeader(): Header | 'skipped' | null {
    if (this.#received.length < FIXED_HEADER) return null;
    const endian = this.#received.readUInt8(0);
    const word = (offset: number): number =>
      endian === LITTLE_ENDIAN ? this.#received.readUInt32LE(offset) : this.#received.readUInt32BE(offset);
    const fieldsLength = word(12);
    const padded = Math.ceil(fieldsLength / 8) * 8;
    const bodyLength = word(4);
    if (fieldsLength > MAX_FIELDS) {
      this.#drop(FIXED_HEADER + padded + bodyLength);
      return 'skipped';
    }
    if (this.#received.length < FIXED_HEADER + padded) return null;
    const fixed = this.#take(FIXED_HEADER);
    const serial = endian === LITTLE_ENDIAN ? fixed.readUInt32LE(8) : fixed.readUInt32BE(8);
    const raw = this.#take(padded);
    try {
      const fields = unpackFields(raw, fieldsLength, endian);
      const type = fixed.readUInt8(1);
      return {
        fields: { ...fields, type, flags: fixed.readUInt8(2), serial },
        length: fieldsLength,
        bodyLength,
        endian,
      };
    } catch {
      // Only an unknown field can make the header invalid, as the bus checks the others. The sender is not known.
      this.#drop(bodyLength);
      return 'skipped';
    }
  }

  #take(length: number): Buffer {
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  #drop(length: number): void {
    this.#skip = Math.max(0, length - this.#received.length);
    this.#received = this.#received.subarray(Math.min(length, this.#received.length));
  }

  #close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#stuck !== null) clearTimeout(this.#stuck);
    this.stream.destroy();
    this.emit('closed', reason);
  }
}

/** Unmarshals header fields and drops unknown ones. */
function unpackFields(raw: Buffer, length: number, endian: number): dbus.MessageLike {
  const fields: Record<string, unknown> = {};
  const reader = new Reader(raw, endian, MAX_FIELD_VALUES);
  for (const [code, [, [value]]] of reader.readArray(headerArray.child[0], length) as [
    number,
    [unknown, [unknown]],
  ][]) {
    const name = headerTypeName[code];
    if (typeof name === 'string') fields[name] = value;
  }
  return fields;
}

function unpack({ fields: { signature }, bodyLength, endian }: Header, body: Buffer): unknown[] {
  if (bodyLength === 0 || signature === undefined) return [];
  const values = new Reader(body, endian, MAX_VALUES).read(signature);
  return messageToJsFmt({ signature, body: values }).body as unknown[];
}

/** Removes the stack trace that dbus-next sends for its internal errors. */
function withoutInternals(message: dbus.Message): dbus.Message {
  if (!(message.errorName as string | undefined)?.startsWith('com.github.dbus_next.')) return message;
  message.errorName = 'org.freedesktop.DBus.Error.Failed';
  message.body = ['a fault in perfbroker-bus'];
  return message;
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}
