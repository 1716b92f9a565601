/** The broker's end of the opener's socketpair. */
import { kernelRefused } from '../model/kernel_refused.js';
import type { Fd } from '../native.js';
import {
  decodeReply,
  encodeOpen,
  encodeRelease,
  LAYOUT,
  type OpenerReply,
  type OpenerRequest,
} from './opener_protocol.js';
import { NoRoomForFds, PartClient } from './part_client.js';

/** An answered request; `fds` belong to the caller. */
export interface Opened {
  readonly reply: OpenerReply;
  readonly fds: readonly Fd[];
}

const EMFILE = 24;
/** Whose turn the watchdog takes: no user's. */
const NOBODY = -1;

export class OpenerClient {
  readonly #part: PartClient<OpenerReply>;

  /** @param onDeath called once when the opener is gone or breaks the protocol: nothing can be served any more */
  constructor(socket: Fd, onDeath: (reason: string) => void) {
    const protocol = {
      messageBytes: LAYOUT.reply.size,
      decode: decodeReply,
      isLast: () => true,
      gone: 'opener-gone',
      busy: 'opener-busy',
    } as const;
    this.#part = new PartClient(socket, protocol, onDeath);
  }

  /** Resolves when the opener has proved what it holds. */
  ready(): Promise<void> {
    return this.#part.ready();
  }

  /**
   * @param uid whose turn it takes
   * @param connection the client's socket, which the opener asks who the client is
   * @param target pidfd or cgroup directory; null for system targets. Both stay the caller's.
   * @throws KernelRefused EMFILE when this process has no room for the fds
   */
  async open(uid: number, request: Omit<OpenerRequest, 'serial'>, connection: Fd, target: Fd | null): Promise<Opened> {
    const serial = this.#part.serial();
    const bytes = encodeOpen({ ...request, serial });
    const given = target === null ? [connection] : [connection, target];
    try {
      const { first, fds } = await this.#part.request(uid, serial, bytes, given);
      return { reply: first, fds };
    } catch (error) {
      if (!(error instanceof NoRoomForFds)) throw error;
      // The opener knows of no failure, and keeps the rings that it mapped.
      void this.release(uid, serial).catch(() => undefined);
      throw kernelRefused(EMFILE, { what: 'the events', call: 'recvmsg' });
    }
  }

  /** Lets go of the rings that an earlier request mapped in advance. */
  async release(uid: number, serial: number): Promise<void> {
    await this.#part.giveBack(uid, serial, encodeRelease(serial));
  }

  /** Resolves when the opener has answered: it is asked to let go of rings that nobody has. */
  async ping(): Promise<void> {
    await this.release(NOBODY, this.#part.serial());
  }

  close(): void {
    this.#part.close();
  }
}
