import test from 'ava';
import { privilegesIn, statusFields } from '#dist/common/proc_status.js';

const STATUS = [
  'Name:\ta: b',
  'Uid:\t1000\t1000\t1000\t1000',
  'Gid:\t100\t100\t100\t100',
  ...['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map((set) => `${set}:\t0000000000000000`),
  'CapBnd:\t000001ffffffffff',
  '',
].join('\n');

const held = (from: string, to: string): readonly string[] => privilegesIn(statusFields(STATUS.replace(from, to)));

test('a line of a status is a field, whose value may contain a colon', (t) => {
  t.is(statusFields(STATUS).get('Name'), 'a: b');
  t.is(statusFields(STATUS).get('Uid'), '1000\t1000\t1000\t1000');
  t.is(statusFields('nonsense\n:x\n').size, 0);
});

test('a thread without capabilities and root ids has no privilege, with any bounding set', (t) => {
  t.deepEqual(privilegesIn(statusFields(STATUS)), []);
});

test('a capability in any other set, and each id of root, is a privilege', (t) => {
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
    t.deepEqual(held(`${set}:\t0000000000000000`, `${set}:\t0000000000000001`), [`${set} is 0000000000000001`]);
  t.deepEqual(held('Uid:\t1000\t1000\t1000\t1000', 'Uid:\t1000\t1000\t1000\t0'), ['Uid is 1000\t1000\t1000\t0']);
  t.deepEqual(held('Gid:\t100\t', 'Gid:\t0\t'), ['Gid is 0\t100\t100\t100']);
});

test('a field that is missing counts as a privilege', (t) => {
  t.deepEqual(held('CapEff', 'Other'), ['CapEff is absent']);
  t.is(privilegesIn(statusFields('')).length, 6);
});
