import test from 'ava';
import { busSocket } from '#dist/bus/transport/connect.js';

test('a bus is found by name, by environment and by address', (t) => {
  t.is(busSocket('system', {}), '/run/dbus/system_bus_socket');
  t.is(busSocket('system', { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/a%20b,guid=1' }), '/a b');
  t.is(busSocket('session', { DBUS_SESSION_BUS_ADDRESS: 'tcp:host=x,port=1;unix:guid=1,path=/s' }), '/s');
  t.is(busSocket('unix:path=/x', {}), '/x');
  t.throws(() => busSocket('session', {}), { message: /DBUS_SESSION_BUS_ADDRESS/ });
  t.throws(() => busSocket('unix:abstract=x', {}), { message: /is not the address/ });
});
