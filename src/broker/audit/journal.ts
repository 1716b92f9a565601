/** journald's native protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ */
import { fstatSync } from 'node:fs';
import { native, type Fd, type NativeError } from '../../native.js';

const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/** Names have capitals, digits and underscores, no underscore first, 64 characters at most, as journald demands. A name may repeat. */
export type JournalField = readonly [name: string, value: string];

/** True when `fd` is the stream that $JOURNAL_STREAM names as DEVICE:INODE: standard error may have been redirected since. */
export function isJournalStream(fd: Fd, env: NodeJS.ProcessEnv = process.env): boolean {
  const stream = env['JOURNAL_STREAM'];
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** The journal if standard error goes there, else null. */
export function openJournal(env: NodeJS.ProcessEnv = process.env, path: string = JOURNAL_SOCKET): Journal | null {
  return isJournalStream(2, env) ? new Journal(path) : null;
}

export class Journal {
  readonly #path: string;
  readonly #socket: Fd;

  constructor(path: string = JOURNAL_SOCKET) {
    this.#path = path;
    this.#socket = native.datagramSocket();
  }

  /**
   * One entry, in the journal's queue when this returns. One that is longer than the socket's send buffer
   * (net.core.wmem_default, 208 KiB as a rule) goes as a sealed file in memory, as sd_journal_send(3) sends it.
   * @throws the error of sendto(2) or sendmsg(2): EAGAIN when journald is behind, ENOENT and ECONNREFUSED when it is not there
   */
  send(fields: readonly JournalField[]): void {
    const entry = encodeEntry(fields);
    try {
      native.sendDatagram(this.#socket, this.#path, entry);
    } catch (error) {
      const { code } = error as NativeError;
      // ENOBUFS: the kernel found no room for one datagram of this length.
      if (code !== 'EMSGSIZE' && code !== 'ENOBUFS') throw error;
      native.sendSealedFile(this.#socket, this.#path, entry);
    }
  }
}

/** A value with newlines carries its length, so that no text in it is taken for another field. */
export function encodeEntry(fields: readonly JournalField[]): Uint8Array {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    const bytes = Buffer.from(value, 'utf8');
    if (bytes.includes(0x0a)) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      parts.push(Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n'));
    } else {
      parts.push(Buffer.from(`${name}=`), bytes, Buffer.from('\n'));
    }
  }
  return Buffer.concat(parts);
}
