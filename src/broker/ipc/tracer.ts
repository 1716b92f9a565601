/** Requests to the tracer. */
import { TRACER } from '../../common/native_messages.js';
import type { Fd } from '../../native.js';
import type { LockScope } from './lock_scope.js';
import { HelperClient } from './helper_client.js';
import type { HelperMessage } from './helper_message.js';
import {
  decodeTracerReply,
  encodeDowngrade,
  MAX_DEADLINE,
  type ThreadResult,
  type TracerReply,
  type TracerRequest,
} from './tracer_protocol.js';

/** A whole answer: the facts of its first message, and the threads of all its messages. */
export interface DowngradeReply extends Pick<TracerReply, 'status' | 'detail' | 'tid' | 'stoppedMicroseconds'> {
  readonly threads: readonly ThreadResult[];
}

/** The longest deadline of a request, a second for its changes (kChangeTime in native/tracer/downgrade.cc), and time for a crowded machine. */
const DEADLINE_MS = MAX_DEADLINE + 5_000;

/** Workers of all users. The tracer has 64 (kMostTracerWorkers in native/monitor/helpers.cc). */
const MOST_WORKERS = 60;
/** Late sessions of one user. Only an administrator has targets of several users. */
const MOST_LATE = 8;

export class TracerClient {
  readonly #helper: HelperClient<TracerReply>;

  /**
   * @param onDeath called once when the tracer is gone or breaks the protocol
   * @param onMessage called for each request that ends, or becomes late; for the log
   */
  constructor(socket: Fd, onDeath: (reason: string) => void, onMessage?: (message: HelperMessage) => void) {
    this.#helper = new HelperClient<TracerReply>(socket, {
      protocol: {
        messageBytes: TRACER.reply.size,
        decode: decodeTracerReply,
        isLast: ({ first, threads, threadCount }) => first + threads.length === threadCount,
      },
      codes: { gone: 'tracer-gone', busy: 'tracer-busy', late: 'tracer-late' },
      onDeath,
      ...(onMessage === undefined ? {} : { onMessage }),
      deadlineMs: DEADLINE_MS,
      mostWorkers: MOST_WORKERS,
      mostLate: MOST_LATE,
    });
  }

  /** Resolves when the tracer has proved what it holds. */
  ready(): Promise<void> {
    return this.#helper.ready();
  }

  /**
   * @param turn the user whose turn it takes, and the lock scope of the target
   * @param connection the client's socket: the tracer reads the client's credentials from it
   * @param pidfd the target. Both stay the caller's.
   * @param onLate called with an answer that came after the deadline, when the caller has received an error
   */
  async downgrade(
    { user, scope }: { readonly user: number; readonly scope: LockScope },
    request: TracerRequest,
    connection: Fd,
    pidfd: Fd,
    onLate: (reply: DowngradeReply) => void,
  ): Promise<DowngradeReply> {
    const session = await this.#helper.begin(user, [scope]);
    try {
      const { first, more } = await session.request({
        kind: 'downgrade',
        encode: (serial) => encodeDowngrade(serial, request),
        scope,
        fds: [connection, pidfd],
        onLate: (messages) => onLate(replyOf(messages)),
      });
      return replyOf([first, ...more]);
    } finally {
      void session.endWorker();
    }
  }

  close(): void {
    this.#helper.close();
  }
}

function replyOf(messages: readonly TracerReply[]): DowngradeReply {
  const [first] = messages;
  if (first === undefined) throw new RangeError('an answer of no message');
  const { status, detail, tid, stoppedMicroseconds } = first;
  return { status, detail, tid, stoppedMicroseconds, threads: messages.flatMap(({ threads }) => threads) };
}
