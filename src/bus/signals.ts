import dbus from 'dbus-next';
import type { Callers } from './callers.js';
import { maySee } from './grant_list.js';
import { GRANT_INTERFACE, grantPath, grantProperties } from './grant_object.js';
import type { GrantChange } from './grant_watch.js';
import { BROKER_PATH, BUS_NAME } from './service.js';

const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';

/**
 * Tells of a grant, each addressed to one connection: a broadcast would tell everybody. They go to whoever has called us
 * and may see the grant.
 */
export function announce(bus: dbus.MessageBus, callers: Callers, { change, grant, reason }: GrantChange): void {
  const path = grantPath(grant);
  const added = change === 'added';
  for (const { name, uid } of callers.known()) {
    if (!maySee(uid, grant)) continue;
    const send = (from: string, member: string, signature: string, body: unknown[]): void => {
      const signal = dbus.Message.newSignal(BROKER_PATH, from, member, signature, body);
      signal.destination = name;
      bus.send(signal);
    };
    if (added) {
      send(OBJECT_MANAGER, 'InterfacesAdded', 'oa{sa{sv}}', [path, { [GRANT_INTERFACE]: grantProperties(grant) }]);
      send(BUS_NAME, 'GrantAdded', 'os', [path, grant.id]);
    } else {
      send(BUS_NAME, 'GrantRemoved', 'oss', [path, grant.id, reason]);
      send(OBJECT_MANAGER, 'InterfacesRemoved', 'oas', [path, [GRANT_INTERFACE]]);
    }
  }
}
