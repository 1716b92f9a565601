/** The broker's end of the tracer's socketpair. */
import type { Fd } from '../native.js';
import { PartClient } from './part_client.js';
import {
  decodeTracerReply,
  encodeDowngrade,
  TRACER_LAYOUT,
  type ThreadResult,
  type TracerReply,
  type TracerRequest,
} from './tracer_protocol.js';

/** A whole answer: the first message's facts, and the threads of all of them. */
export interface Traced extends Pick<TracerReply, 'status' | 'detail' | 'tid' | 'stoppedMicroseconds'> {
  readonly threads: readonly ThreadResult[];
}

export class TracerClient {
  readonly #part: PartClient<TracerReply>;

  /** @param onDeath called once when the tracer is gone or breaks the protocol */
  constructor(socket: Fd, onDeath: (reason: string) => void) {
    const protocol = {
      messageBytes: TRACER_LAYOUT.reply.size,
      decode: decodeTracerReply,
      isLast: ({ first, threads, threadCount }: TracerReply) => first + threads.length === threadCount,
      gone: 'tracer-gone',
      busy: 'tracer-busy',
    } as const;
    this.#part = new PartClient(socket, protocol, onDeath);
  }

  /** Resolves when the tracer has proved what it holds. */
  ready(): Promise<void> {
    return this.#part.ready();
  }

  /**
   * @param uid whose turn it takes
   * @param connection the client's socket, which the tracer asks who the client is
   * @param pidfd the target. Both stay the caller's.
   */
  async downgrade(uid: number, request: TracerRequest, connection: Fd, pidfd: Fd): Promise<Traced> {
    const serial = this.#part.serial();
    const bytes = encodeDowngrade(serial, request);
    const { first, more } = await this.#part.request(uid, serial, bytes, [connection, pidfd]);
    const { status, detail, tid, stoppedMicroseconds } = first;
    const threads = [first, ...more].flatMap((message) => message.threads);
    return { status, detail, tid, stoppedMicroseconds, threads };
  }

  close(): void {
    this.#part.close();
  }
}
