import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  ACTIONS,
  checkAction,
  detailsDictionary,
  RequestError,
  subjectStruct,
} from '#dist/bus/polkit/polkit_request.js';

const SUBJECT = { uid: 1000, pid: 42, startTime: '18446744073709551615' };
const wrong = (field: string): { instanceOf: typeof RequestError; message?: RegExp } & object => ({
  instanceOf: RequestError,
  message: new RegExp(field),
});

test('a process has the types of polkit, and a connection of the bus is named', (t) => {
  const [kind, details] = subjectStruct(SUBJECT);
  t.is(kind, 'unix-process');
  t.like(details, {
    pid: { signature: 'u', value: 42 },
    'start-time': { signature: 't', value: 2n ** 64n - 1n },
    uid: { signature: 'i', value: 1000 },
  });
  const [busKind, busDetails] = subjectStruct({ ...SUBJECT, busName: ':1.42' });
  t.is(busKind, 'system-bus-name');
  t.like(busDetails, { name: { signature: 's', value: ':1.42' } });
});

test('a subject that polkit would not check in full is refused', (t) => {
  for (const uid of [-1, 2 ** 31, 0.5]) t.throws(() => subjectStruct({ ...SUBJECT, uid }), wrong('uid'));
  for (const pid of [0, -1, 2 ** 31, 0.5]) t.throws(() => subjectStruct({ ...SUBJECT, pid }), wrong('pid'));
  for (const startTime of ['0', '', '-1', '1.5', '18446744073709551616'])
    t.throws(() => subjectStruct({ ...SUBJECT, startTime }), wrong('startTime'));
  for (const busName of ['org.example', ':1', ':1.2 ', ''])
    t.throws(() => subjectStruct({ ...SUBJECT, busName }), wrong('busName'));
});

test('details are few, and no key has a dot, which polkit reads for itself', (t) => {
  t.deepEqual(detailsDictionary({ target: 'a<b>' }), { target: 'a‹b›' });
  for (const key of ['polkit.message', 'A', '', 'x'.repeat(33)])
    t.throws(() => detailsDictionary({ [key]: 'x' }), wrong('not a name'));
  const many = Object.fromEntries(Array.from('abcdefghi', (key) => [key, '']));
  t.throws(() => detailsDictionary(many), wrong('more than 8'));
});

test('the actions are those of the shipped policy file, and no other is asked for', (t) => {
  const xml = readFileSync(new URL('../../../../polkit/org.perfbroker.policy', import.meta.url), 'utf8');
  t.deepEqual([...xml.matchAll(/<action id="([^"]+)">/g)].map(([, id]) => id).sort(), [...ACTIONS].sort());
  t.is(checkAction('org.perfbroker.kernel'), 'org.perfbroker.kernel');
  t.throws(() => checkAction('org.freedesktop.policykit.exec'), wrong('unknown action'));
});
