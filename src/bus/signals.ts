import dbus from 'dbus-next';
import type { Caller, Callers } from './callers.js';
import type { GrantList } from './grant_list.js';
import { GRANT_INTERFACE, grantPath, grantProperties } from './grant_object.js';
import type { GrantChange } from './grant_watch.js';
import { BROKER_PATH, BUS_NAME } from './service.js';

const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';

/**
 * Tells of a grant, each addressed to one connection: a broadcast would tell everybody. They go to whoever has called us
 * and may see the grant.
 */
export function announce(bus: dbus.MessageBus, callers: Callers, grants: GrantList, change: GrantChange): void {
  for (const caller of callers.known()) {
    if (caller.uid === change.grant.uid) tell(bus, caller, change);
    else if (caller.uid === 0)
      void grants.isAdministrator(caller).then((may) => {
        if (may && !caller.gone.aborted) tell(bus, caller, change);
      });
  }
}

function tell(bus: dbus.MessageBus, { name }: Caller, { change, grant, reason }: GrantChange): void {
  const path = grantPath(grant);
  const send = (from: string, member: string, signature: string, body: unknown[]): void => {
    const signal = dbus.Message.newSignal(BROKER_PATH, from, member, signature, body);
    signal.destination = name;
    bus.send(signal);
  };
  if (change === 'added') {
    send(OBJECT_MANAGER, 'InterfacesAdded', 'oa{sa{sv}}', [path, { [GRANT_INTERFACE]: grantProperties(grant) }]);
    send(BUS_NAME, 'GrantAdded', 'os', [path, grant.id]);
  } else {
    send(BUS_NAME, 'GrantRemoved', 'oss', [path, grant.id, reason]);
    send(OBJECT_MANAGER, 'InterfacesRemoved', 'oas', [path, [GRANT_INTERFACE]]);
  }
}
