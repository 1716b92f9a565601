import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { readdirSync, readlinkSync } from 'node:fs';
import { Connection, type CloseReason, type ConnectionLimits, type Message } from '#dist/varlink/connection.js';
import type { FdsInFlight } from '#dist/varlink/fds_in_flight.js';
import { native, type Fd } from '#dist/native.js';

export const LIMITS: ConnectionLimits = {
  messageBytes: 64 * 1024,
  maxFdsPerMessage: 4,
  depth: 16,
  queuedBytes: 1 << 20,
  queuedFds: 64,
};

/** Files that the open fds of this process refer to, by number: equal before and after means that nothing leaked. */
export function openFds(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return []; // the directory that is being read
    }
  });
}

/**
 * The open fds when they are these, or what they are after ten seconds: what a peer sent is closed on another thread, which
 * may not have come to it yet.
 */
export async function fdsOnceThey(are: (fds: readonly string[]) => boolean): Promise<readonly string[]> {
  const end = Date.now() + 10_000;
  while (!are(openFds()) && Date.now() < end) await setTimeout(5);
  return openFds();
}

/** {@link fdsOnceThey} are `before` again. */
export async function fdsBackTo(before: readonly string[]): Promise<readonly string[]> {
  return fdsOnceThey((fds) => isDeepStrictEqual(fds, before));
}

/** An fd that is good for nothing but being counted. */
export function someFd(): Fd {
  return native.pidfdOpen(process.pid);
}

/** A connection, with what happened to it in the order it happened, and the other end as a bare socket. */
export class Observed {
  readonly messages: Message[] = [];
  readonly connection: Connection;
  /** The connection's end. */
  readonly socket: Fd;
  readonly peer: Fd;
  reason: CloseReason | null = null;
  #wake: () => void = () => undefined;

  constructor(limits: Partial<ConnectionLimits> = {}, inFlight?: FdsInFlight) {
    const [socket, peer] = native.socketPair('stream');
    this.socket = socket;
    this.peer = peer;
    this.connection = new Connection({
      socket,
      limits: { ...LIMITS, ...limits },
      ...(inFlight === undefined ? {} : { inFlight }),
      onMessage: (message) => {
        this.messages.push(message);
        this.#wake();
      },
      onClose: (reason) => {
        this.reason = reason;
        this.#wake();
      },
    });
  }

  write(text: string | Uint8Array, fds: readonly Fd[] = []): number | null {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    const sent = native.sendMessage(this.peer, bytes, fds);
    for (const fd of fds) native.close(fd);
    return sent;
  }

  /** Until `count` messages came, or the connection closed. */
  async received(count: number): Promise<readonly Message[]> {
    while (this.messages.length < count && this.reason === null) await this.#change();
    return this.messages;
  }

  async closed(): Promise<CloseReason> {
    while (this.reason === null) await this.#change();
    return this.reason;
  }

  /** Everything that this test opened. */
  end(): void {
    this.connection.close();
    native.close(this.peer);
    for (const fd of this.messages.flatMap((message) => message.fds)) native.close(fd);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** Lets the event loop turn a few times. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
