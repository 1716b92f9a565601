/** org.perfbroker.Grant1: one object for each live grant. */
import dbus from 'dbus-next';
import type { Grant } from '../../interfaces/broker_types.js';
import type { BrokerCalls } from '../broker/broker_calls.js';
import { revoke } from './broker_object.js';
import { GRANT_XML } from './introspection.js';
import type { Properties, ServedInterface, ServedObject } from './served.js';

export const GRANTS_PATH = '/org/perfbroker/Broker1/grants';
export const GRANT_INTERFACE = 'org.perfbroker.Grant1';

/** Returns the object path of a grant. Ids are hexadecimal digits, which are valid in a path. */
export function grantPath({ id }: Pick<Grant, 'id'>): string {
  return `${GRANTS_PATH}/${id}`;
}

export function grantProperties(grant: Grant): Properties {
  return {
    Id: new dbus.Variant('s', grant.id),
    Uid: new dbus.Variant('u', grant.uid),
    Pid: new dbus.Variant('u', grant.pid),
    Executable: new dbus.Variant('s', grant.executable),
    Targets: new dbus.Variant('as', [...grant.targets]),
    Events: new dbus.Variant('u', grant.events),
    Fds: new dbus.Variant('u', grant.fds),
    RingBytes: new dbus.Variant('t', BigInt(grant.ringBytes)),
    Rule: new dbus.Variant('s', grant.rule),
    AgeSeconds: new dbus.Variant('t', BigInt(Math.floor(grant.ageSeconds))),
    LeaseSeconds: new dbus.Variant('t', BigInt(grant.leaseSeconds)),
  };
}

/** Property names, for errors that need no grant. */
const PROPERTY_NAMES = [
  'Id',
  'Uid',
  'Pid',
  'Executable',
  'Targets',
  'Events',
  'Fds',
  'RingBytes',
  'Rule',
  'AgeSeconds',
  'LeaseSeconds',
];

export function grantObject(grant: Grant, broker: BrokerCalls): ServedObject {
  const served: ServedInterface = {
    methods: {
      Revoke: { in: 'a{sv}', out: 'uus', run: (call) => revoke(broker, call, grant.id, call.body[0]) },
    },
    propertyNames: PROPERTY_NAMES,
    properties: () => Promise.resolve(grantProperties(grant)),
  };
  return { interfaces: { [GRANT_INTERFACE]: served }, xml: GRANT_XML };
}
