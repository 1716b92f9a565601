import test from 'ava';
import dbus from 'dbus-next';
import { BusDriver } from '#dist/bus/callers/bus_driver.js';
import { CallError, errorReply } from '#dist/bus/dbus_error.js';

const BUS = 'org.freedesktop.DBus';

/** A connection on which every call is answered like this. */
function driver(answer: (call: dbus.Message) => Promise<unknown>, timeoutMs?: number): BusDriver {
  return new BusDriver({ call: answer } as unknown as dbus.MessageBus, timeoutMs);
}

const reply = (sender: string, value: number): dbus.Message =>
  Object.assign(
    new dbus.Message({
      type: dbus.MessageType.METHOD_RETURN,
      replySerial: 1 as unknown as string,
      signature: 'u',
      body: [value],
    }),
    { sender },
  );

const failure = (sender: string, name: string): Promise<never> => {
  const error = new dbus.Message({
    type: dbus.MessageType.ERROR,
    replySerial: 1 as unknown as string,
    errorName: `${BUS}.Error.${name}`,
  });
  return Promise.reject(
    new dbus.DBusError(error.errorName, 'gone', Object.assign(error, { sender }) as unknown as string),
  );
};

const credentials =
  (sender: string) =>
  ({ member }: dbus.Message): Promise<dbus.Message> =>
    Promise.resolve(reply(sender, member === 'GetConnectionUnixUser' ? 1000 : 5));

test('an answer counts when the bus itself gave it', async (t) => {
  t.deepEqual(await driver(credentials(BUS)).credentials(':1.1'), { uid: 1000, pid: 5 });
  await t.throwsAsync(driver(credentials(':1.66')).credentials(':1.1'), {
    message: /another connection replied to GetConnectionUnix/,
  });
});

test('an error counts when the bus itself gave it', async (t) => {
  t.is(await driver(() => failure(BUS, 'NameHasNoOwner')).credentials(':1.1'), null);
  await t.throwsAsync(driver(() => failure(':1.66', 'NameHasNoOwner')).credentials(':1.1'), {
    message: /another connection replied to/,
  });
});

test('a bus that knows the user but not the process reports pid 0', async (t) => {
  const answer = (call: dbus.Message): Promise<dbus.Message> =>
    call.member === 'GetConnectionUnixUser' ? credentials(BUS)(call) : failure(BUS, 'UnixProcessIdUnknown');
  t.deepEqual(await driver(answer).credentials(':1.1'), { uid: 1000, pid: 0 });
});

test('the bus is asked nothing that it answers with an fd: dbus-broker disconnects a client that accepts none', async (t) => {
  const asked: string[] = [];
  const answer = (call: dbus.Message): Promise<dbus.Message> => {
    asked.push(call.member);
    return credentials(BUS)(call);
  };
  await driver(answer).credentials(':1.1');
  t.deepEqual(asked.sort(), ['GetConnectionUnixProcessID', 'GetConnectionUnixUser']);
});

test('a bus that does not answer is not an internal error, and the caller gets an error', async (t) => {
  const error = await t.throwsAsync(driver(() => new Promise(() => {}), 20).credentials(':1.1'), {
    instanceOf: CallError,
  });
  const { internal, message } = errorReply(error);
  t.false(internal);
  t.regex(message, /^the bus did not reply to GetConnectionUnix/);
});
