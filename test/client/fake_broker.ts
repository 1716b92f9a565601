import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Client } from '#dist/client/index.js';
import { native, type Fd } from '#dist/native.js';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import type { Connection } from '#dist/varlink/connection.js';
import { Service, type MethodHandler } from '#dist/varlink/service.js';

/** The broker's interface with handlers of a test's own behind a real socket. */
export class FakeBroker {
  readonly path: string;
  readonly failures: unknown[] = [];
  readonly connections: Connection[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'perfbroker-test-'));
  readonly #listener: Fd;
  readonly #poller;

  /** @param checkReplies false for brokers that answer what is not in the interface */
  constructor(handlers: Readonly<Record<string, MethodHandler<null>>>, checkReplies = true) {
    const service = new Service<null>({
      vendor: 'v',
      product: 'p',
      version: '1',
      url: 'u',
      interfaces: [{ definition: BROKER_INTERFACE, handlers }],
      checkReplies,
      internalError: (error) => {
        this.failures.push(error);
        const parameters = { code: 'internal', message: String(error), errno: 0, cause: '', remedy: '' };
        return { name: 'org.perfbroker.Broker.Unavailable', parameters };
      },
    });
    this.path = join(this.#directory, 'broker.sock');
    this.#listener = native.listenUnix(this.path, 8);
    this.#poller = native.createPoller(this.#listener, () => {
      const socket = native.accept(this.#listener);
      if (socket === null) return;
      const limits = { messageBytes: 1 << 20, maxFdsPerMessage: 253, depth: 16, queuedBytes: 1 << 20, queuedFds: 1024 };
      this.connections.push(service.serve({ socket, limits, context: null }));
    });
    this.#poller.start(1);
  }

  connect(timeoutMs = 10_000): Promise<Client> {
    return connect({ socket: this.path, timeoutMs });
  }

  close(): void {
    this.#poller.close();
    native.close(this.#listener);
    for (const connection of this.connections) connection.close();
    rmSync(this.#directory, { recursive: true });
  }
}
