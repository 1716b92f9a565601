import dbus from 'dbus-next';
import type { Caller, Callers } from '../callers/callers.js';
import type { GrantList } from './grant_list.js';
import { GRANT_INTERFACE, grantPath, grantProperties } from './grant_object.js';
import type { GrantChange } from './grant_watch.js';
import { BROKER_PATH, BUS_NAME } from './service.js';

const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';

type Signal = 'InterfacesAdded' | 'InterfacesRemoved' | 'GrantAdded' | 'GrantRemoved';

/** Interface and signature of each signal. */
export const SIGNALS: Readonly<Record<Signal, readonly [from: string, signature: string]>> = {
  InterfacesAdded: [OBJECT_MANAGER, 'oa{sa{sv}}'],
  InterfacesRemoved: [OBJECT_MANAGER, 'oas'],
  GrantAdded: [BUS_NAME, 'os'],
  GrantRemoved: [BUS_NAME, 'oss'],
};

/**
 * Announces a change of a grant to each connection that has called this service and may see the grant. The signals are unicast, because a
 * broadcast would disclose the grant to all users.
 */
export function announce(bus: dbus.MessageBus, callers: Callers, grants: GrantList, change: GrantChange): void {
  for (const caller of callers.known()) {
    if (caller.uid === change.grant.uid) sendChange(bus, caller, change);
    else if (caller.uid === 0)
      void grants.isAdministrator(caller).then((may) => {
        if (may && !caller.gone.aborted) sendChange(bus, caller, change);
      });
  }
}

function sendChange(bus: dbus.MessageBus, { name }: Caller, { change, grant, reason }: GrantChange): void {
  const path = grantPath(grant);
  const send = (member: Signal, body: unknown[]): void => {
    const signal = dbus.Message.newSignal(BROKER_PATH, SIGNALS[member][0], member, SIGNALS[member][1], body);
    signal.destination = name;
    bus.send(signal);
  };
  if (change === 'added') {
    send('InterfacesAdded', [path, { [GRANT_INTERFACE]: grantProperties(grant) }]);
    send('GrantAdded', [path, grant.id]);
  } else {
    send('GrantRemoved', [path, grant.id, reason]);
    send('InterfacesRemoved', [path, [GRANT_INTERFACE]]);
  }
}
