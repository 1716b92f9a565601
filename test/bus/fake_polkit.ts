/** Takes polkit's place, to check the calls that it gets and the effect of its answers. */
import type dbus from 'dbus-next';
import type { PrivateBus } from './private_bus.js';

/** Lets root own polkit's name, and lets messages pass that answer nothing. */
export const FAKE_POLKIT_POLICY = `<busconfig>
  <policy user="root"><allow own="org.freedesktop.PolicyKit1"/></policy>
</busconfig>`;

/** Allows replies that no connection requested: the bus forbids them by default. */
export const UNREQUESTED_REPLIES_POLICY = `<busconfig>
  <policy context="mandatory">
    <allow send_requested_reply="false" send_type="method_return"/>
    <allow receive_requested_reply="false" receive_type="method_return"/>
  </policy>
</busconfig>`;

export interface FakePolkit {
  /** Every call so far. */
  readonly calls: readonly dbus.Message[];
  /** Resolves when there are `count` calls. */
  called(count: number): Promise<void>;
}

/** Takes polkit's name; `answer` may stay silent. */
export async function startFakePolkit(
  bus: PrivateBus,
  answer: (call: dbus.Message) => dbus.Message | null | Promise<dbus.Message | null>,
): Promise<FakePolkit> {
  const connection = await bus.connect();
  const calls: dbus.Message[] = [];
  const waiting = new Set<() => void>();
  connection.addMethodHandler((call: dbus.Message) => {
    if (call.interface !== 'org.freedesktop.PolicyKit1.Authority') return false;
    calls.push(call);
    void Promise.resolve(answer(call)).then((reply) => {
      if (reply !== null) connection.send(reply);
    });
    for (const look of waiting) look();
    return true;
  });
  await connection.requestName('org.freedesktop.PolicyKit1', 0);
  const called = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (calls.length < count) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { calls, called };
}

/**
 * The same with GLib's D-Bus, which takes nothing of a type other than the interface's: prints each question as GVariant
 * text with its types, and says yes.
 */
export const GLIB_POLKIT = `
import gi
from gi.repository import Gio, GLib
XML = '''<node><interface name="org.freedesktop.PolicyKit1.Authority"><method name="CheckAuthorization">
<arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
<arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="(bba{ss})" direction="out"/>
</method></interface></node>'''
def called(connection, sender, path, interface, method, parameters, invocation):
    print(parameters.get_type_string(), parameters.print_(True), flush=True)
    invocation.return_value(GLib.Variant('((bba{ss}))', ((True, False, {}),)))
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
bus.register_object('/org/freedesktop/PolicyKit1/Authority', Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], called, None, None)
Gio.bus_own_name_on_connection(bus, 'org.freedesktop.PolicyKit1', 0, lambda *_: print('ready', flush=True), None)
GLib.MainLoop().run()
`;
