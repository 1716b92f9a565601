/**
 * Introspection data. dbus/org.perfbroker.Broker1.xml and dbus/org.perfbroker.Grant1.xml, which the package installs for readers and
 * code generators, have the same content; a test compares them with this file and with the served objects.
 */

const DOCTYPE = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`;

/** org.freedesktop.DBus.Properties without PropertiesChanged, which is not emitted. */
const PROPERTIES = `  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
  </interface>
`;

const COMMON = `  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
`;

const unchanging = '<annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="const"/>';
const silent = '<annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="false"/>';

function property(name: string, type: string, annotation: string): string {
  return `    <property name="${name}" type="${type}" access="read">\n      ${annotation}\n    </property>\n`;
}

const brokerXml = `  <!--
    org.perfbroker.Broker1: perf events for the processes that a policy approves.

    Dictionaries have the keys of the Varlink interface org.perfbroker.Broker (docs/protocol.md); numbers of any integer
    type are accepted. A target has the form {'kind': <'process'>, 'pid': <4242>}: numbers only, no fds over the bus.
    An event is the same dictionary as there, or {'name': <'cpu-clock:u'>, 'frequency': <999>}.
  -->
  <interface name="org.perfbroker.Broker1">
    <!--
      Open: decides the request and keeps it for expires_seconds. The caller, or another process of its user, redeems the
      ticket once over its own connection to /run/perfbroker/broker.sock and receives the fds there.
      options: cpus, ringBytes, ringSlots, leaseSeconds, downgrade, allowInteractive (default: the message's flag).
    -->
    <method name="Open">
      <arg name="targets" type="aa{sv}" direction="in"/>
      <arg name="events" type="aa{sv}" direction="in"/>
      <arg name="options" type="a{sv}" direction="in"/>
      <arg name="ticket" type="s" direction="out"/>
      <arg name="expires_seconds" type="u" direction="out"/>
      <arg name="decision" type="a{sv}" direction="out"/>
    </method>
    <!-- Explain: returns the decision, also when it is a denial, and opens nothing. -->
    <method name="Explain">
      <arg name="targets" type="aa{sv}" direction="in"/>
      <arg name="events" type="aa{sv}" direction="in"/>
      <arg name="options" type="a{sv}" direction="in"/>
      <arg name="decision" type="a{sv}" direction="out"/>
    </method>
    <!--
      Downgrade: returns a ticket to remove capabilities from a live process. drop: names such as CAP_PERFMON, or "all".
      options: noNewPrivs, children, dryRun, deadlineMs, allowInteractive.
    -->
    <method name="Downgrade">
      <arg name="target" type="a{sv}" direction="in"/>
      <arg name="drop" type="as" direction="in"/>
      <arg name="options" type="a{sv}" direction="in"/>
      <arg name="ticket" type="s" direction="out"/>
      <arg name="expires_seconds" type="u" direction="out"/>
      <arg name="decision" type="a{sv}" direction="out"/>
    </method>
    <!-- Revoke: ends a grant; kept describes the access that its holder keeps. options: allowInteractive. -->
    <method name="Revoke">
      <arg name="grant" type="s" direction="in"/>
      <arg name="options" type="a{sv}" direction="in"/>
      <arg name="fds" type="u" direction="out"/>
      <arg name="disabled" type="u" direction="out"/>
      <arg name="kept" type="s" direction="out"/>
    </method>
    <!-- Sent only to connections that have called this service and may see the grant. -->
    <signal name="GrantAdded">
      <arg name="path" type="o"/>
      <arg name="grant" type="s"/>
    </signal>
    <!-- reason: connection, lease, target, revoked, shutdown. -->
    <signal name="GrantRemoved">
      <arg name="path" type="o"/>
      <arg name="grant" type="s"/>
      <arg name="reason" type="s"/>
    </signal>
${property('Version', 's', silent)}${property('Kernel', 's', silent)}${property('Paranoid', 'i', silent)}${property('Capability', 's', silent)}${property('Ceiling', 'as', silent)}${property('PolicySources', 'as', silent)}${property('MaxSampleRate', 'u', silent)}${property('Tracepoints', 'u', silent)}    <!-- Grants: number of grants that the caller may see. -->
${property('Grants', 'u', silent)}  </interface>
  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="path" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="path" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
${PROPERTIES}${COMMON}`;

/** The interfaces of /org/perfbroker/Broker1. */
export const BROKER_XML: string = brokerXml;

const grantXml = `  <!--
    org.perfbroker.Grant1: one live grant, visible to its owner and to administrators. LeaseSeconds is 0 for a grant without
    lease; AgeSeconds and RingBytes change without a signal.
  -->
  <interface name="org.perfbroker.Grant1">
    <method name="Revoke">
      <arg name="options" type="a{sv}" direction="in"/>
      <arg name="fds" type="u" direction="out"/>
      <arg name="disabled" type="u" direction="out"/>
      <arg name="kept" type="s" direction="out"/>
    </method>
${property('Id', 's', unchanging)}${property('Uid', 'u', unchanging)}${property('Pid', 'u', unchanging)}${property('Executable', 's', unchanging)}${property('Targets', 'as', unchanging)}${property('Events', 'u', unchanging)}${property('Fds', 'u', unchanging)}${property('RingBytes', 't', silent)}${property('Rule', 's', unchanging)}${property('AgeSeconds', 't', silent)}${property('LeaseSeconds', 't', unchanging)}  </interface>
${PROPERTIES}${COMMON}`;

/** The interfaces of /org/perfbroker/Broker1/grants/ID. */
export const GRANT_XML: string = grantXml;

/** Interfaces of an object that only has children. */
export const FOLDER_XML: string = COMMON;

/**
 * Returns the introspection data of a node.
 * @param interfaces one of the texts above
 * @param children names of the objects right below
 */
export function nodeXml(interfaces: string, children: readonly string[] = []): string {
  const nodes = children.map((name) => `  <node name="${name}"/>\n`).join('');
  return `${DOCTYPE}<node>\n${interfaces}${nodes}</node>\n`;
}
