import { createRequire } from 'node:module';
import type dbus from 'dbus-next';
import { Wire, type IncomingCall } from './transport.js';

const SYSTEM_BUS = '/run/dbus/system_bus_socket';

/** A connection to a message bus, said Hello. */
export interface BusConnection {
  /** For calls and signals of ours. */
  readonly bus: dbus.MessageBus;
  /** Calls of others, which dbus-next does not get to see; set before any can arrive. */
  onCall: (call: IncomingCall) => void;
  /** A message of so many bytes was sent. */
  onSent: (message: dbus.Message, bytes: number) => void;
  /** Resolves with the reason when the bus is gone, whoever ended it. */
  readonly closed: Promise<string>;
}

/**
 * The socket of a bus.
 * @param name `system`, `session`, or a D-Bus address, of which the first `unix:path=` counts
 * @throws Error when there is none
 */
export function busSocket(name: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  const address =
    name === 'system' ? env['DBUS_SYSTEM_BUS_ADDRESS'] : name === 'session' ? env['DBUS_SESSION_BUS_ADDRESS'] : name;
  if (address === undefined || address === '') {
    if (name === 'system') return SYSTEM_BUS;
    throw new Error(`there is no $DBUS_SESSION_BUS_ADDRESS`);
  }
  for (const each of address.split(';')) {
    const path = /^unix:(?:.*,)?path=([^,]+)/.exec(each)?.[1];
    // The address syntax escapes bytes as %XX.
    if (path !== undefined) return decodeURIComponent(path);
  }
  throw new Error(`${address} is no address of a bus on a socket in the file system (unix:path=...)`);
}

// dbus-next exports the class as a type only.
const MessageBus = createRequire(import.meta.url)('dbus-next/lib/bus.js') as new (wire: Wire) => dbus.MessageBus;

/** @throws Error when nobody listens there, or the bus does not let us in */
export async function connectBus(path: string): Promise<BusConnection> {
  const wire = new Wire(path);
  const closed = new Promise<string>((resolve) => wire.once('closed', resolve));
  const bus = new MessageBus(wire);
  const connection: BusConnection = { bus, closed, onCall: () => {}, onSent: () => {} };
  wire.on('call', (call) => connection.onCall(call));
  wire.on('sent', (message, bytes) => connection.onSent(message, bytes));
  await new Promise<void>((resolve, reject) => {
    bus.on('error', (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))));
    bus.once('connect', () => resolve());
    void closed.then((reason) => reject(new Error(`no connection to the bus on ${path}: ${reason}`)));
  });
  return connection;
}
