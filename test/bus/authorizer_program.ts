/** perfbroker-bus less its D-Bus interface: `node authorizer_program.js SOCKET [OPTIONS OF PolkitAuthority AS JSON]`. */
import { writeSync } from 'node:fs';
import dbus from 'dbus-next';
import { brokerUid, bindListener, passedListener } from '#dist/bus/polkit/authorizer_listener.js';
import { serveAuthorizer } from '#dist/bus/polkit/authorizer.js';
import { PolkitAuthority, type PolkitOptions } from '#dist/bus/polkit/polkit.js';

const [path = '', options = '{}'] = process.argv.slice(2);
const say = (text: string): void => void writeSync(2, `${text}\n`);

const listener = passedListener() ?? bindListener(path);
const bus = dbus.sessionBus({
  busAddress: (process.env['DBUS_SYSTEM_BUS_ADDRESS'] ?? '').replace('unix:path=', 'unix:socket='),
});
bus.on('error', (error: Error) => {
  say(`bus: ${error.message}`);
  process.exit(1);
});
bus.once('connect', () => {
  const authorizer = serveAuthorizer({
    listener,
    brokerUid: brokerUid(),
    authority: new PolkitAuthority(bus, JSON.parse(options) as PolkitOptions),
    log: { warn: say, info: say, error: say },
  });
  // Also prints the unique name, for a test that forges a reply to it.
  say(`ready ${(bus as unknown as { name: string }).name}`);
  process.once('SIGTERM', () => {
    say(`ending with ${authorizer.pending} pending`);
    authorizer.close();
    bus.disconnect();
  });
});
