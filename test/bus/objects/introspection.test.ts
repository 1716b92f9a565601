/** The documented, the shipped and the served interfaces are the same. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { BROKER_XML, GRANT_XML, nodeXml } from '#dist/bus/objects/introspection.js';
import { BrokerObject } from '#dist/bus/objects/broker_object.js';
import { BrokerCalls } from '#dist/bus/broker/broker_calls.js';
import { GrantList } from '#dist/bus/objects/grant_list.js';
import { grantObject, grantProperties } from '#dist/bus/objects/grant_object.js';
import type { ServedObject } from '#dist/bus/objects/served.js';
import { SIGNALS } from '#dist/bus/objects/signals.js';
import { read } from '../../docs/documents.js';
import { ROOT, skip } from '../../e2e/daemon.js';
import { grantOf, startFakeBroker } from '../fake_broker.js';
import { call, NAME, PATH, POLICY_FILES, startFrontEnd } from '../front_end.js';
import { noPrivateBus, startPrivateBus } from '../private_bus.js';

const reason = noPrivateBus();
const SHIPPED: Readonly<Record<string, string>> = {
  'dbus/org.perfbroker.Broker1.xml': nodeXml(BROKER_XML, ['grants']),
  'dbus/org.perfbroker.Grant1.xml': nodeXml(GRANT_XML),
};

for (const [path, xml] of Object.entries(SHIPPED))
  test(`${path} matches the introspection data of the front end`, (t) => {
    if (process.env['UPDATE_XML'] === '1') writeFileSync(join(ROOT, path), xml);
    t.is(read(path).text, xml);
  });

/** Interface -> member -> signatures, of an introspection. */
function members(xml: string): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  for (const [, name = '', body = ''] of xml.matchAll(/<interface name="([^"]+)">(.*?)<\/interface>/gs)) {
    const list: Record<string, string> = (found[name] = {});
    const plain = body.replace(/<!--.*?-->/gs, '');
    for (const [, member = '', args = ''] of plain.matchAll(/<method name="(\w+)"(?:\/>|>(.*?)<\/method>)/gs)) {
      const of = (direction: string): string =>
        [...args.matchAll(/type="([^"]+)" direction="(\w+)"/g)]
          .filter((match) => match[2] === direction)
          .map((match) => match[1])
          .join('');
      list[member] = `${of('in')}->${of('out')}`;
    }
    for (const [, signal = '', args = ''] of plain.matchAll(/<signal name="(\w+)">(.*?)<\/signal>/gs))
      list[signal] = `signal ${[...args.matchAll(/type="([^"]+)"/g)].map((match) => match[1]).join('')}`;
    for (const [, property = '', type = ''] of plain.matchAll(/<property name="(\w+)" type="([^"]+)" access="read">/g))
      list[property] = type;
  }
  return found;
}

function table({ interfaces }: ServedObject, types: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(interfaces).map(([name, { methods, propertyNames }]) => [
      name,
      {
        ...Object.fromEntries(
          Object.entries(methods).map(([member, { in: from, out }]) => [member, `${from}->${out}`]),
        ),
        ...Object.fromEntries(propertyNames.map((property) => [property, types[property]])),
      },
    ]),
  );
}

test('the dispatch table has the methods, properties and signals of the XML, with its types', (t) => {
  const broker = new BrokerCalls('/nowhere');
  const types = {
    Version: 's',
    Kernel: 's',
    Paranoid: 'i',
    Capability: 's',
    Ceiling: 'as',
    PolicySources: 'as',
    MaxSampleRate: 'u',
    Tracepoints: 'u',
    Grants: 'u',
  };
  const object = new BrokerObject(broker, new GrantList(broker));
  const signalsOf = (name: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(SIGNALS).flatMap(([member, [from, signature]]) =>
        from === name ? [[member, `signal ${signature}`]] : [],
      ),
    );
  const xml = members(BROKER_XML);
  t.deepEqual({ ...(table(object, types)[NAME] as object), ...signalsOf(NAME) }, xml[NAME]);
  const manager = 'org.freedesktop.DBus.ObjectManager';
  t.deepEqual({ GetManagedObjects: '->a{oa{sa{sv}}}', ...signalsOf(manager) }, xml[manager]);

  const record = grantOf(1) as never;
  const grantTypes = Object.fromEntries(
    Object.entries(grantProperties(record)).map(([k, { signature }]) => [k, signature]),
  );
  const grant = grantObject(record, broker);
  t.deepEqual(table(grant, grantTypes)['org.perfbroker.Grant1'], members(GRANT_XML)['org.perfbroker.Grant1']);
  t.deepEqual([...grant.interfaces['org.perfbroker.Grant1']!.propertyNames].sort(), Object.keys(grantTypes).sort());
});

test('gdbus and busctl show the shipped interfaces at every object', async (t) => {
  if (reason !== null) return skip(t, reason);
  const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, polkit: false });
  const broker = startFakeBroker(bus.directory);
  t.teardown(() => broker.close());
  broker.grants = [grantOf(60123, 'aa')];
  await startFrontEnd(bus, { socket: broker.socket });
  const gdbus = async (path: string): Promise<string> => {
    const at = ['gdbus', 'introspect', '--xml', '--address', bus.address, '-d', NAME, '-o', path];
    const { stdout, stderr } = await bus.run(at, { user: 'member' });
    t.is(stderr, '');
    return stdout;
  };
  t.is(await gdbus(PATH), nodeXml(BROKER_XML, ['grants']));
  t.is(await gdbus(`${PATH}/grants/aa`), nodeXml(GRANT_XML));
  for (const [path, child] of [
    ['/', 'org'],
    ['/org', 'perfbroker'],
    ['/org/perfbroker', 'Broker1'],
    [`${PATH}/grants`, 'aa'],
  ] as const)
    t.regex(await gdbus(path), new RegExp(`<node name="${child}"/>`));

  const { stdout, stderr, code } = await bus.run(['busctl', '--system', '--list', 'tree', NAME], { user: 'member' });
  if (code === null || /not found|No such file/.test(stderr)) return t.log('skipped: no busctl');
  t.deepEqual(stdout.trim().split('\n').slice(-2), [`${PATH}/grants`, `${PATH}/grants/aa`]);
  const seen = await bus.run(['busctl', '--system', 'introspect', NAME, PATH], { user: 'member' });
  t.regex(seen.stdout, /\.Open +method +aa\{sv\}aa\{sv\}a\{sv\} +sua\{sv\}/, seen.stderr);
  t.regex(seen.stdout, /\.Version +property +s +"9\.9"/);
  const owner = await bus.connect();
  t.deepEqual(await call(owner, 'Ping', '', [], { interface: 'org.freedesktop.DBus.Peer' }), []);
});
