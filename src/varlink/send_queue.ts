import { native, type Fd, type NativeError } from '../native.js';
import { closeFds } from './close_fds.js';

interface Outgoing {
  rest: Uint8Array;
  fds: readonly Fd[];
}

/** What an attempt to send came to. `'busy'`: try again when the socket is writable. `'too-many-references'`: try again later. */
export type SendProgress = 'sent' | 'busy' | 'too-many-references' | { readonly error: NativeError };

/**
 * Messages on their way out, in order, each with the fds that it owns. One sendmsg(2) never holds more than one
 * message, so that the fds of a message are the only ones in it (see framing.ts); they go with its first byte, and are
 * closed here as soon as the kernel has taken them.
 */
export class SendQueue {
  readonly #messages: Outgoing[] = [];
  #bytes = 0;
  #fds = 0;

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get fds(): number {
    return this.#fds;
  }

  push(bytes: Uint8Array, fds: readonly Fd[]): void {
    this.#messages.push({ rest: bytes, fds });
    this.#bytes += bytes.length;
    this.#fds += fds.length;
  }

  /**
   * Sends until nothing is left or the socket takes no more.
   * @param onProgress called when at least one byte went out
   */
  flush(socket: Fd, onProgress: () => void): SendProgress {
    for (let head = this.#messages[0]; head !== undefined; head = this.#messages[0]) {
      const sent = attempt(socket, head);
      if (typeof sent !== 'number') return sent;
      onProgress();
      this.#bytes -= sent;
      this.#fds -= head.fds.length;
      const { fds } = head;
      head.fds = [];
      head.rest = head.rest.subarray(sent);
      if (head.rest.length === 0) this.#messages.shift();
      closeFds(fds);
    }
    return 'sent';
  }

  /** Forgets every message and closes the fds that were not sent. */
  clear(): void {
    const fds = this.#messages.flatMap((message) => message.fds);
    this.#messages.length = this.#bytes = this.#fds = 0;
    closeFds(fds);
  }
}

function attempt(socket: Fd, { rest, fds }: Outgoing): number | Exclude<SendProgress, 'sent'> {
  try {
    return native.sendMessage(socket, rest, fds) ?? 'busy';
  } catch (error) {
    // unix(7): more fds in flight than RLIMIT_NOFILE, counted over all sockets of this user. It passes.
    if ((error as NativeError).code === 'ETOOMANYREFS') return 'too-many-references';
    return { error: error as NativeError };
  }
}
