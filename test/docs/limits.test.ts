/** Limits that docs/protocol.md names are those of the code. */
import test from 'ava';
import { DEFAULT_SOCKET } from '#dist/client/index.js';
import { MAX_EVENTS, MAX_PREMAP_BYTES, MAX_SLOTS } from '#dist/broker/ipc/opener_protocol.js';
import { MAX_PREMAPPED_PER_USER } from '#dist/broker/grants/premap_limit.js';
import { MAX_TARGETS } from '#dist/broker/processes/targets.js';
import { BROKER_INTERFACE } from '#dist/interfaces/broker_interface.js';
import type { Type } from '#dist/varlink/idl.js';
import { parseJsonObject } from '#dist/varlink/json.js';
import { read } from './documents.js';

const protocol = read('docs/protocol.md').text;

/** The value cell of a row of the table. */
function documented(row: string): string {
  const cell = protocol
    .split('\n')
    .map((line) => line.split('|').map((text) => text.trim()))
    .find((cells) => cells[1] === row)?.[2];
  if (cell === undefined) throw new Error(`docs/protocol.md has no row "${row}"`);
  return cell;
}

/** "256 KiB", "8,192", "10 s", "64 fds" as a number of bytes, pieces or milliseconds. */
function quantity(text: string): number {
  const [, number = '', unit = ''] = /^([\d,]+)(?: (\w+))?$/.exec(text) ?? [];
  const factor = { '': 1, fds: 1, KiB: 1024, MiB: 1024 ** 2, s: 1000 }[unit];
  if (factor === undefined || number === '') throw new Error(`not understood: ${text}`);
  return Number(number.replaceAll(',', '')) * factor;
}

/** A constant that its file keeps to itself. Products of numbers and shifts are understood. */
function constant(path: string, name: string): number {
  const [, value] = new RegExp(`\\b${name}\\s*[:=]\\s*([\\d_xul<* ]+)`).exec(read(path).text) ?? [];
  if (value === undefined) throw new Error(`${path} has no ${name}`);
  const [left = '', shift] = value.replaceAll('_', '').replace(/[ul]+/g, '').split('<<');
  const product = left.split('*').reduce((all, factor) => all * Number(factor), 1);
  return shift === undefined ? product : product * 2 ** Number(shift);
}

const SERVER = 'src/broker/server.ts';
const REFUSED = 'src/broker/fairness/refused_connections.ts';
const PLACES = 'src/broker/fairness/connection_quota.ts';
const AUTHORIZER = 'src/broker/ipc/authorizer.ts';
const TICKETS = 'src/broker/grants/tickets.ts';
const CONNECTION = 'src/varlink/connection.ts';
const rows: readonly [row: string, value: () => number][] = [
  ['bytes of a message to the broker', () => constant(SERVER, 'messageBytes')],
  ['nesting of a message', () => constant(SERVER, 'depth')],
  ['values of a message', () => constant(SERVER, 'values')],
  ['fds of a message', () => constant(SERVER, 'maxFdsPerMessage')],
  ["time from a message's first byte to its last", () => constant(CONNECTION, 'DEFAULT_MESSAGE_MS')],
  ['bytes waiting for a client that does not read', () => constant(SERVER, 'queuedBytes')],
  ['fds waiting for a client that does not read', () => constant(SERVER, 'queuedFds')],
  ["fds sent over all of a user's connections and not read", () => constant(PLACES, 'MAX_FDS_IN_FLIGHT')],
  ['time without progress for a client that does not read', () => constant(CONNECTION, 'DEFAULT_STALL_MS')],
  ['fds that a user sent and that hang when they are closed', () => constant(SERVER, 'MAX_UNCLOSED_FDS')],
  ['connections of all users', () => constant(PLACES, 'MAX_CONNECTIONS')],
  [
    'connections of clients in user namespaces of their own, or under subordinate uids',
    () => constant(PLACES, 'MAX_SHARED_CONNECTIONS'),
  ],
  ['refused connections of a user that get an answer at a time', () => constant(REFUSED, 'MAX_REFUSED_OF_USER')],
  ['refused connections of all users that get an answer at a time', () => constant(REFUSED, 'MAX_REFUSED')],
  ['bytes waiting for a client while its next call waits', () => constant(SERVER, 'deliverBelowBytes')],
  ['watches of grants of a user', () => constant('src/broker/grants/grants.ts', 'MAX_WATCHES')],
  [
    'requests of one user waiting for the opener',
    () => constant('src/broker/ipc/helper_client.ts', 'MAX_WAITING_PER_USER'),
  ],
  ['targets of a request', () => MAX_TARGETS],
  ['events of a request', () => MAX_EVENTS],
  ['fds of a reply', () => MAX_SLOTS],
  ['rings mapped in advance, of one user', () => MAX_PREMAPPED_PER_USER],
  [
    'grants of one user whose rings are mapped in advance',
    () => constant('src/broker/ipc/helper_client.ts', 'MAX_WORKERS_PER_USER'),
  ],
  ['bytes mapped in advance, of all users', () => MAX_PREMAP_BYTES],
  ['threads born between counting and attaching', () => constant('src/broker/methods/open/grant.ts', 'SPARE_FDS')],
  ['connections of the D-Bus front end', () => constant(SERVER, 'MAX_FRONT_END_CONNECTIONS')],
  ['open questions of a user', () => constant(AUTHORIZER, 'MAX_QUESTIONS_PER_USER')],
  ['open questions of all users', () => constant(AUTHORIZER, 'MAX_QUESTIONS')],
  ['time for a human to answer', () => constant(AUTHORIZER, 'INTERACTIVE_MS')],
  ['time for polkit to answer by itself', () => constant(AUTHORIZER, 'OTHERWISE_MS')],
  ['life of a ticket', () => constant(TICKETS, 'TICKET_SECONDS') * 1000],
  ['tickets of a user', () => constant(TICKETS, 'MAX_TICKETS_PER_USER')],
  ['tickets of all users', () => constant(TICKETS, 'MAX_TICKETS')],
  ['targets that tickets of a user hold', () => constant(TICKETS, 'MAX_FDS_PER_USER')],
  ['targets that tickets of all users hold', () => constant(TICKETS, 'MAX_FDS')],
];

for (const [row, value] of rows) {
  test(`the documented limit of ${row} is the one in force`, (t) => {
    t.is(quantity(documented(row)), value());
  });
}

test('every row of the table of limits is compared', (t) => {
  const table = protocol.slice(protocol.indexOf('Built in:')).split('\n\n')[1] ?? '';
  const names = table
    .split('\n')
    .slice(2)
    .map((line) => line.split('|')[1]?.trim());
  t.deepEqual(
    names,
    rows.map(([row]) => row),
  );
});

/** A value of a type with every field that it may have, and `names` in each list. */
function fullest(type: Type, names: number): unknown {
  switch (type.kind) {
    case 'nullable':
      return fullest(type.element, names);
    case 'array':
      return Array.from({ length: names }, () => fullest(type.element, names));
    case 'struct':
      return Object.fromEntries(type.fields.map((field) => [field.name, fullest(field.type, names)]));
    case 'reference':
      return fullest(BROKER_INTERFACE.types[type.name]!.type, names);
    case 'enum':
      return type.members[0];
    case 'string':
      return 'x'.repeat(32);
    default:
      return 12_345;
  }
}

function repeated(type: Type, count: number): readonly unknown[] {
  const list = type.kind === 'nullable' ? type.element : type;
  if (list.kind !== 'array') throw new Error('no list');
  return Array.from({ length: count }, () => fullest(list.element, 32));
}

test('the longest valid request is within the limits of a message', (t) => {
  const { input } = BROKER_INTERFACE.methods['Open']!;
  const counts: Record<string, number> = { targets: MAX_TARGETS, events: MAX_EVENTS, cpus: 8192 };
  const parameters = Object.fromEntries(
    input.fields.map(({ name, type }) => [
      name,
      // 32: no list of names has more.
      counts[name] === undefined ? fullest(type, 32) : repeated(type, counts[name]),
    ]),
  );
  const message = Buffer.from(JSON.stringify({ method: 'org.perfbroker.Broker.Open', parameters, more: true }));
  t.true(message.length <= constant(SERVER, 'messageBytes'), `${message.length} bytes`);
  const limits = { depth: constant(SERVER, 'depth'), values: constant(SERVER, 'values') };
  t.notThrows(() => parseJsonObject(message, limits));
});

test('the documented socket is the default', (t) => {
  t.true(protocol.includes(`The socket is \`${DEFAULT_SOCKET}\``));
});

test('the Python client takes less than 80 lines', (t) => {
  const [client = ''] = /^```python\n(.*?)^```$/ms.exec(protocol)?.slice(1) ?? [];
  const lines = client.trimEnd().split('\n').length;
  t.true(lines > 40 && lines < 80, `${lines} lines`);
});
