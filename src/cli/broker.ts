import type { Client } from '../client/index.js';
import { connect } from '../client/index.js';

/** Runs `use` with a connection, which is closed whatever happens. */
export async function withBroker<T>(socket: string | undefined, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(socket === undefined ? {} : { socket });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}
