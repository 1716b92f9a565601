import dbus from 'dbus-next';
import { CallError } from '../dbus_error.js';

const NAME = 'org.freedesktop.DBus';
const PATH = '/org/freedesktop/DBus';
const TIMEOUT_MS = 10_000;

/** Credentials of a connection, as reported by the bus. */
export interface Credentials {
  readonly uid: number;
  /** Pid in the bus's pid namespace; 0 when unknown. */
  readonly pid: number;
}

/** Calls of the bus itself. Every method throws when the bus replies with an error or does not reply. */
export class BusDriver {
  readonly #bus: dbus.MessageBus;
  readonly #timeoutMs: number;

  constructor(bus: dbus.MessageBus, timeoutMs: number = TIMEOUT_MS) {
    this.#bus = bus;
    this.#timeoutMs = timeoutMs;
  }

  /** Requests a name. @returns false when another connection owns it */
  async requestName(name: string): Promise<boolean> {
    const flags = dbus.NameFlag.DO_NOT_QUEUE;
    return (await this.#call('RequestName', 'su', [name, flags])) === dbus.RequestNameReply.PRIMARY_OWNER;
  }

  async releaseName(name: string): Promise<void> {
    await this.#call('ReleaseName', 's', [name]);
  }

  /**
   * Returns uid and pid of a connection. Uses two calls: dbus-broker adds a pidfd to the reply of GetConnectionCredentials and disconnects
   * receivers that do not accept fds. Unique names are never reused, so both replies are about the same connection.
   * @returns null when the connection does not exist
   */
  async credentials(uniqueName: string): Promise<Credentials | null> {
    try {
      const [uid, pid] = await Promise.all([
        this.#call('GetConnectionUnixUser', 's', [uniqueName]),
        this.#call('GetConnectionUnixProcessID', 's', [uniqueName]).catch(zeroIfUnknown),
      ]);
      if (typeof uid !== 'number') throw new Error(`the bus does not know the user of ${uniqueName}`);
      return { uid, pid: typeof pid === 'number' ? pid : 0 };
    } catch (error) {
      if (isBusError(error, 'NameHasNoOwner')) return null;
      throw error;
    }
  }

  /** Subscribes to signals about connections that leave the bus ({@link goneName}): one rule for all, as the bus allows 512 rules. */
  async watchLeaving(): Promise<void> {
    const rule = `type='signal',sender='${NAME}',interface='${NAME}',member='NameOwnerChanged',arg2=''`;
    await this.#call('AddMatch', 's', [rule]);
  }

  /** Returns the first value of the reply. Checks that the bus itself sent it, because dbus-next compares only serials. */
  async #call(member: string, signature: string, body: unknown[]): Promise<unknown> {
    const call = this.#bus.call(
      new dbus.Message({ destination: NAME, path: PATH, interface: NAME, member, signature, body }),
    );
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new CallError('Failed', `the bus did not reply to ${member}`)), this.#timeoutMs);
    });
    try {
      const reply = await Promise.race([call, timeout]);
      if (reply?.sender !== NAME) throw new Error(`another connection replied to ${member}`);
      return (reply.body as unknown[])[0];
    } catch (error) {
      if (error instanceof dbus.DBusError && (error.reply as dbus.Message | null)?.sender !== NAME)
        throw new Error(`another connection replied to ${member}`, { cause: error });
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

function isBusError(error: unknown, name: string): boolean {
  return error instanceof dbus.DBusError && error.type === `${NAME}.Error.${name}`;
}

function zeroIfUnknown(error: unknown): number {
  if (isBusError(error, 'UnixProcessIdUnknown')) return 0;
  throw error as Error;
}

/** Returns the unique name that left the bus according to this NameOwnerChanged signal, or null. */
export function goneName({ type, sender, interface: from, member, body }: dbus.Message): string | null {
  if (type !== dbus.MessageType.SIGNAL || sender !== NAME || from !== NAME || member !== 'NameOwnerChanged')
    return null;
  const [name, , owner] = body as unknown[];
  return typeof name === 'string' && name.startsWith(':') && owner === '' ? name : null;
}
