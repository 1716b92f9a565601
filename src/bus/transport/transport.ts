/**
 * The connection under dbus-next's MessageBus. dbus-next brings one of its own, which this replaces, because there
 * - a message of signature `h` without an fd throws in a stream callback and ends the process: any client can send one;
 * - messages are buffered and unpacked whatever their size (the bus lets 32 MiB pass, which become gigabytes of objects);
 * - fds that come along are never closed.
 * Here fd passing is not negotiated at all, so that the bus refuses to deliver messages with fds to us; a message that is
 * too long is skipped as it streams in; and the body of a call stays bytes until whoever serves it wants to read it.
 */
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { createConnection, type Socket } from 'node:net';
import dbus from 'dbus-next';
import { LITTLE_ENDIAN, Reader } from './reader.js';

/** Bytes of a message body that are read; 16 events with every field, the longest list that there is, are 29 KiB. */
export const MAX_BODY: number = 64 * 1024;
/** Bytes of header fields: paths and names, of which the bus allows 255 bytes each, and unknown fields, which are skipped. */
const MAX_FIELDS = 64 * 1024;
/** Values in a body. 16 events with every field are some 4,400; an `av` of 64 KiB would be 32,000, for 200 ms of work. */
const MAX_VALUES = 10_000;
/** Values in the header fields: 9 of them with 4 each, and something for fields that nobody knows yet. */
const MAX_FIELD_VALUES = 200;
const FIXED_HEADER = 16;
/** Bytes that may wait for the bus to read them before we stop reading from it. */
const HIGH_WATER = 1024 * 1024;
/**
 * Milliseconds that they may wait. dbus-daemon reads no more from a connection whose messages fill the queues of others who do
 * not read theirs (127 MiB), for as long as those please: only a connection with nothing charged to it gets on then.
 */
const STUCK_MS = 30_000;
const MAX_HANDSHAKE = 4096;
const BUS = 'org.freedesktop.DBus';

/** A method call. */
export interface IncomingCall {
  /** Without its body. */
  readonly message: dbus.Message;
  /** Bytes that it holds, of header fields and body. */
  readonly bytes: number;
  /** Unpacks the body; it throws what can not be read. Null: the body was too long, and skipped. */
  readonly body: (() => unknown[]) | null;
}

export interface WireEvents {
  connect: [];
  /** Any other message than a call, but for signals of others than the bus. */
  message: [dbus.Message];
  call: [IncomingCall];
  /** So many bytes go out with this message. */
  sent: [dbus.Message, number];
  /** The bus is gone; nothing follows. */
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

export class Wire extends EventEmitter<WireEvents> {
  /** MessageBus ends it. */
  readonly stream: Socket;
  /** What MessageBus sends before the handshake is done. */
  #early: dbus.Message[] | null = [];
  #received: Buffer = Buffer.alloc(0);
  #header: Header | null = null;
  #skip = 0;
  #stuck: NodeJS.Timeout | null = null;
  /** Nothing is read until the bus has taken everything. */
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

  /** Called by MessageBus. What can not be sent is dropped: without the bus there is nobody to tell. */
  message(message: dbus.Message): void {
    if (this.#early !== null) this.#early.push(message);
    else this.#write(message);
  }

  #write(message: dbus.Message): void {
    if (this.#closed || !this.stream.writable) return;
    const [bytes] = marshallMessage(withoutInternals(message));
    this.emit('sent', message, bytes.length);
    this.stream.write(bytes, () => this.#taken());
    const reason = `the bus has not taken what waits for it within ${this.#stuckMs / 1000} s`;
    this.#stuck ??= setTimeout(() => this.#close(reason), this.#stuckMs);
    if (this.stream.writableLength <= HIGH_WATER) return;
    this.#full = true;
    this.stream.pause();
  }

  /** However little waits: whoever fills the bus need not fill us as well. */
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

  /** One chunk a turn of the event loop: whoever floods us leaves the others their turns, timers and polkit's answers too. */
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

  /** @returns whether messages may follow */
  #handshake(): boolean {
    const end = this.#received.indexOf('\r\n');
    if (end < 0) {
      if (this.#received.length > MAX_HANDSHAKE) this.#close('the bus answered the handshake at length');
      return false;
    }
    const line = this.#received.toString('latin1', 0, end);
    this.#received = this.#received.subarray(end + 2);
    if (!line.startsWith('OK ')) {
      this.#close(`the bus refused to let this user in: ${line.slice(0, 100)}`);
      return false;
    }
    this.stream.write('BEGIN\r\n');
    const early = this.#early ?? [];
    this.#early = null;
    for (const message of early) this.#write(message);
    this.emit('connect');
    return true;
  }

  /** Takes one message out of what was received. @returns whether there may be another one */
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

  /** What is no message to dbus-next, and no call, is dropped. */
  #deliver(header: Header, body: Buffer | null): void {
    let message: dbus.Message;
    try {
      message = new dbus.Message({ ...header.fields, body: [] });
      if (message.type !== dbus.MessageType.METHOD_CALL) {
        // The bus lets strangers send signals. To unpack them, only to find out that nobody wants them, would take a while.
        const stranger = message.type === dbus.MessageType.SIGNAL && message.sender !== BUS;
        if (body === null || stranger) return;
        message.body = unpack(header, body);
      }
    } catch {
      return;
    }
    if (message.type !== dbus.MessageType.METHOD_CALL) this.emit('message', message);
    else {
      // A copy: a short body would keep all that was received with it.
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
      // A header that only an unknown field can have spoiled: who sent it is not known.
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

/** Fields that the specification does not know are left out. */
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

/** dbus-next answers what goes wrong inside of it with a stack trace; nobody else's business. */
function withoutInternals(message: dbus.Message): dbus.Message {
  if (!(message.errorName as string | undefined)?.startsWith('com.github.dbus_next.')) return message;
  message.errorName = 'org.freedesktop.DBus.Error.Failed';
  message.body = ['a fault in perfbroker-bus'];
  return message;
}

function hex(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}
