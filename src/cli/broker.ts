import type { Client } from '../client/index.js';
import { connect } from '../client/index.js';

/** Connects to the broker, calls `use`, and closes the connection in any case. */
export async function withBroker<T>(socket: string | undefined, use: (client: Client) => Promise<T>): Promise<T> {
  await using client = await connect(socket === undefined ? {} : { socket });
  return await use(client);
}
