/** A client of the bus that sends any bytes, also together with fds. */
import { createRequire } from 'node:module';
import { native, OWN_LANE, READABLE, type Fd } from '#dist/native.js';

const require = createRequire(import.meta.url);
const marshall = require('dbus-next/lib/marshall.js') as (
  signature: string,
  data: unknown[],
  offset?: number,
) => Buffer;
const DBusBuffer = require('dbus-next/lib/dbus-buffer.js') as new (
  bytes: Buffer,
  start: number,
  endian: number,
  fds: readonly never[],
) => { align(power: number): void; read(signature: string): unknown[] };

export interface RawReply {
  readonly type: number;
  readonly replySerial?: number;
  readonly errorName?: string;
  readonly sender?: string;
  readonly member?: string;
  readonly body?: unknown[];
}

export interface RawMessage {
  readonly type?: number;
  readonly flags?: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly destination?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  /** Signature of the body, which is not checked against it. */
  readonly signature?: string;
  readonly body?: Buffer;
  readonly unixFds?: number;
  /** Code, signature and value of further header fields. */
  readonly extra?: readonly [number, string, unknown][];
}

export class RawClient {
  readonly #socket: Fd;
  readonly #poller: ReturnType<typeof native.createPoller>;
  readonly #waiting = new Set<() => void>();
  #received: Buffer = Buffer.alloc(0);
  #serial = 1;
  #text = false;
  #ended = false;
  readonly replies: RawReply[] = [];
  #lines = '';

  private constructor(path: string) {
    this.#socket = native.connectUnix(path);
    this.#poller = native.createPoller(this.#socket, () => this.#read());
    this.#poller.start(READABLE);
  }

  /** As this process's user, with fd passing, said Hello. */
  static async connect(path: string): Promise<RawClient> {
    const client = new RawClient(path);
    client.#text = true;
    const uid = Buffer.from(String(process.getuid?.())).toString('hex');
    await client.send(Buffer.from(`\0AUTH EXTERNAL ${uid}\r\nNEGOTIATE_UNIX_FD\r\n`));
    await client.until(() => client.#lines.includes('AGREE_UNIX_FD'));
    client.#text = false;
    await client.send(Buffer.from('BEGIN\r\n'));
    const path_ = '/org/freedesktop/DBus';
    await client.ask({
      path: path_,
      interface: 'org.freedesktop.DBus',
      member: 'Hello',
      destination: 'org.freedesktop.DBus',
    });
    return client;
  }

  /** The bus ended the connection. */
  get ended(): boolean {
    return this.#ended;
  }

  /** @returns its serial and bytes */
  pack(message: RawMessage): { readonly serial: number; readonly bytes: Buffer } {
    const serial = this.#serial++;
    const { type = 1, flags = 0, body = Buffer.alloc(0) } = message;
    const fields: unknown[] = [];
    const add = (code: number, signature: string, value: unknown): void => {
      if (value !== undefined) fields.push([code, [signature, value]]);
    };
    add(1, 'o', message.path);
    add(2, 's', message.interface);
    add(3, 's', message.member);
    add(4, 's', message.errorName);
    add(5, 'u', message.replySerial);
    add(6, 's', message.destination);
    add(8, 'g', message.signature);
    add(9, 'u', message.unixFds);
    for (const [code, signature, value] of message.extra ?? []) add(code, signature, value);
    const head = Buffer.concat([
      marshall('yyyyuu', [0x6c, type, flags, 1, body.length, serial]),
      marshall('a(yv)', [fields], 12),
    ]);
    const padded = Buffer.alloc(Math.ceil(head.length / 8) * 8);
    head.copy(padded);
    return { serial, bytes: Buffer.concat([padded, body]) };
  }

  /** Sends all of it; the fds go with the first byte. */
  async send(bytes: Buffer, fds: readonly Fd[] = []): Promise<void> {
    let rest = bytes;
    let along = fds;
    while (rest.length > 0 && !this.#ended) {
      let sent: number | null;
      try {
        sent = native.sendMessage(this.#socket, rest, along);
      } catch {
        this.#ended = true;
        return;
      }
      if (sent === null) await new Promise((resolve) => setTimeout(resolve, 2));
      else {
        rest = rest.subarray(sent);
        along = [];
      }
    }
  }

  /** Sends a message and waits for its answer; null when the bus hung up instead. */
  async ask(message: RawMessage, fds: readonly Fd[] = []): Promise<RawReply | null> {
    const { serial, bytes } = this.pack(message);
    await this.send(bytes, fds);
    let found: RawReply | undefined;
    await this.until(() => {
      found = this.replies.find((reply) => reply.replySerial === serial);
      return found !== undefined || this.#ended;
    });
    return found ?? null;
  }

  async until(condition: () => boolean, ms = 90_000): Promise<void> {
    const deadline = Date.now() + ms;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error(`waited for ${ms} ms`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(wake, 100);
        this.#waiting.add(wake);
      });
    }
  }

  close(): void {
    this.#poller.close();
    native.closeConnection(OWN_LANE, this.#socket);
    this.#ended = true;
  }

  #read(): void {
    const chunk = new Uint8Array(64 * 1024);
    try {
      const got = native.receiveMessage(this.#socket, chunk);
      if (got === null) return;
      if (got.bytes === 0) throw new Error('end');
      for (const fd of got.fds) native.close(fd);
      if (this.#text) this.#lines += Buffer.from(chunk.subarray(0, got.bytes)).toString('latin1');
      else this.#received = Buffer.concat([this.#received, chunk.subarray(0, got.bytes)]);
    } catch {
      this.#ended = true;
      this.#poller.stop();
    }
    this.#split();
    for (const wake of [...this.#waiting]) wake();
  }

  #split(): void {
    for (;;) {
      if (this.#received.length < 16) return;
      const fields = Math.ceil(this.#received.readUInt32LE(12) / 8) * 8;
      const length = 16 + fields + this.#received.readUInt32LE(4);
      if (this.#received.length < length) return;
      this.replies.push(unpack(Buffer.from(this.#received.subarray(0, length))));
      this.#received = this.#received.subarray(length);
    }
  }
}

/** Header fields by their code. */
function unpack(bytes: Buffer): RawReply {
  const buffer = new DBusBuffer(bytes, 0, 0x6c, []);
  const [, type, , , , , list] = buffer.read('yyyyuua(yv)') as [
    0,
    number,
    0,
    0,
    0,
    0,
    [number, [unknown, [unknown]]][],
  ];
  const fields = new Map(list.map(([code, [, [value]]]) => [code, value]));
  buffer.align(3);
  const signature = fields.get(8) as string | undefined;
  return {
    type,
    ...(fields.has(3) && { member: fields.get(3) as string }),
    ...(fields.has(4) && { errorName: fields.get(4) as string }),
    ...(fields.has(5) && { replySerial: fields.get(5) as number }),
    ...(fields.has(7) && { sender: fields.get(7) as string }),
    body: signature === undefined ? [] : buffer.read(signature),
  };
}
