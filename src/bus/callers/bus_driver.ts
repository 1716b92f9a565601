import dbus from 'dbus-next';
import { CallError } from '../dbus_error.js';

const NAME = 'org.freedesktop.DBus';
const PATH = '/org/freedesktop/DBus';
const TIMEOUT_MS = 10_000;

/** What the bus knows of a connection. */
export interface Credentials {
  readonly uid: number;
  /** In the bus's pid namespace; 0 when it can not say. */
  readonly pid: number;
}

/** Calls of the bus itself. Every method throws when the bus says no, or nothing. */
export class BusDriver {
  readonly #bus: dbus.MessageBus;
  readonly #timeoutMs: number;

  constructor(bus: dbus.MessageBus, timeoutMs: number = TIMEOUT_MS) {
    this.#bus = bus;
    this.#timeoutMs = timeoutMs;
  }

  /** @returns whether the name is ours now; false when somebody else has it */
  async requestName(name: string): Promise<boolean> {
    const flags = dbus.NameFlag.DO_NOT_QUEUE;
    return (await this.#call('RequestName', 'su', [name, flags])) === dbus.RequestNameReply.PRIMARY_OWNER;
  }

  async releaseName(name: string): Promise<void> {
    await this.#call('ReleaseName', 's', [name]);
  }

  /**
   * Two questions whose answers are numbers. The one answer of GetConnectionCredentials brings a pidfd, too, when the bus is
   * dbus-broker, which throws whoever takes no fds off the bus for it. A name is one connection's for good: both are of the same.
   * @returns null when there is no such connection (any more)
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

  /** From now on we are told who leaves the bus ({@link goneName}). One rule for all: of rules the bus allows 512. */
  async watchLeaving(): Promise<void> {
    const rule = `type='signal',sender='${NAME}',interface='${NAME}',member='NameOwnerChanged',arg2=''`;
    await this.#call('AddMatch', 's', [rule]);
  }

  /** The first value of the reply, which only the bus itself can have sent: dbus-next looks at serials alone. */
  async #call(member: string, signature: string, body: unknown[]): Promise<unknown> {
    const call = this.#bus.call(
      new dbus.Message({ destination: NAME, path: PATH, interface: NAME, member, signature, body }),
    );
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new CallError('Failed', `the bus did not answer ${member}`)), this.#timeoutMs);
    });
    try {
      const reply = await Promise.race([call, timeout]);
      if (reply?.sender !== NAME) throw new Error(`somebody else answered ${member}`);
      return (reply.body as unknown[])[0];
    } catch (error) {
      if (error instanceof dbus.DBusError && (error.reply as dbus.Message | null)?.sender !== NAME)
        throw new Error(`somebody else answered ${member}`, { cause: error });
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

/** @returns the unique name that a NameOwnerChanged from the bus says is gone, or null */
export function goneName({ type, sender, interface: from, member, body }: dbus.Message): string | null {
  if (type !== dbus.MessageType.SIGNAL || sender !== NAME || from !== NAME || member !== 'NameOwnerChanged')
    return null;
  const [name, , owner] = body as unknown[];
  return typeof name === 'string' && name.startsWith(':') && owner === '' ? name : null;
}
