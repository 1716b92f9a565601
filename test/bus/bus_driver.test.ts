import test from 'ava';
import dbus from 'dbus-next';
import { BusDriver } from '#dist/bus/bus_driver.js';
import { CallError, errorReply } from '#dist/bus/dbus_error.js';

const BUS = 'org.freedesktop.DBus';

/** A connection on which every call is answered like this. */
function driver(answer: () => Promise<unknown>, timeoutMs?: number): BusDriver {
  return new BusDriver({ call: answer } as unknown as dbus.MessageBus, timeoutMs);
}

const reply = (sender: string, type: number = dbus.MessageType.METHOD_RETURN): dbus.Message =>
  Object.assign(
    new dbus.Message({
      type,
      replySerial: 1 as unknown as string,
      errorName: `${BUS}.Error.NameHasNoOwner`,
      signature: 'a{sv}',
      body: [{ UnixUserID: new dbus.Variant('u', 1000), ProcessID: new dbus.Variant('u', 5) }],
    }),
    { sender },
  );

test('an answer counts when the bus itself gave it', async (t) => {
  t.deepEqual(await driver(() => Promise.resolve(reply(BUS))).credentials(':1.1'), { uid: 1000, pid: 5 });
  await t.throwsAsync(driver(() => Promise.resolve(reply(':1.66'))).credentials(':1.1'), {
    message: /somebody else answered GetConnectionCredentials/,
  });
});

test('an error counts when the bus itself gave it', async (t) => {
  const failing = (sender: string) => (): Promise<never> => {
    const error = reply(sender, dbus.MessageType.ERROR);
    return Promise.reject(new dbus.DBusError(error.errorName, 'gone', error as unknown as string));
  };
  t.is(await driver(failing(BUS)).credentials(':1.1'), null);
  await t.throwsAsync(driver(failing(':1.66')).credentials(':1.1'), { message: /somebody else answered/ });
});

test('a bus that does not answer is no fault of ours, and the caller hears of it', async (t) => {
  const error = await t.throwsAsync(driver(() => new Promise(() => {}), 20).credentials(':1.1'), {
    instanceOf: CallError,
  });
  const { internal, message } = errorReply(error);
  t.false(internal);
  t.is(message, 'the bus did not answer GetConnectionCredentials');
});
