import { createRequire } from 'node:module';
import type dbus from 'dbus-next';
import { Transport, type IncomingCall } from './transport.js';

const SYSTEM_BUS = '/run/dbus/system_bus_socket';

/** A connection to a message bus after Hello. */
export interface BusConnection {
  /** Sends calls and signals of this process. */
  readonly bus: dbus.MessageBus;
  /** Receives incoming calls, which bypass dbus-next. Must be set before the first call can arrive. */
  onCall: (call: IncomingCall) => void;
  /** Called for each sent message with its size in bytes. */
  onSent: (message: dbus.Message, bytes: number) => void;
  /** Resolves with the reason when the connection ends. */
  readonly closed: Promise<string>;
}

/**
 * Returns the socket path of a bus.
 * @param name `system`, `session`, or a D-Bus address, whose first `unix:path=` is used
 * @throws Error when the address has none
 */
export function busSocket(name: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  const address =
    name === 'system' ? env['DBUS_SYSTEM_BUS_ADDRESS'] : name === 'session' ? env['DBUS_SESSION_BUS_ADDRESS'] : name;
  if (address === undefined || address === '') {
    if (name === 'system') return SYSTEM_BUS;
    throw new Error('$DBUS_SESSION_BUS_ADDRESS is not set');
  }
  for (const each of address.split(';')) {
    const path = /^unix:(?:.*,)?path=([^,]+)/.exec(each)?.[1];
    // The address syntax escapes bytes as %XX.
    if (path !== undefined) return decodeURIComponent(path);
  }
  throw new Error(`${address} is not the address of a bus with a socket in the file system (unix:path=...)`);
}

// dbus-next exports the class as a type only.
const MessageBus = createRequire(import.meta.url)('dbus-next/lib/bus.js') as new (
  transport: Transport,
) => dbus.MessageBus;

/** Connects to a bus. @throws Error when no bus listens there, or the bus rejects this user */
export async function connectBus(path: string): Promise<BusConnection> {
  const transport = new Transport(path);
  const closed = new Promise<string>((resolve) => transport.once('closed', resolve));
  const bus = new MessageBus(transport);
  const connection: BusConnection = { bus, closed, onCall: () => {}, onSent: () => {} };
  transport.on('call', (call) => connection.onCall(call));
  transport.on('sent', (message, bytes) => connection.onSent(message, bytes));
  await new Promise<void>((resolve, reject) => {
    bus.on('error', (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))));
    bus.once('connect', () => resolve());
    void closed.then((reason) => reject(new Error(`no connection to the bus on ${path}: ${reason}`)));
  });
  return connection;
}
