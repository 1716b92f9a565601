import test from 'ava';
import { eventsText, targetsText } from '#dist/broker/methods/request/request_text.js';
import type { PinnedTarget } from '#dist/broker/processes/targets.js';
import { specOf } from '../fakes.js';

function processOf(pid: number, uid: number): PinnedTarget {
  return { kind: 'process', fd: 0, tid: null, process: { pid, uids: [uid, uid, uid], executable: '[x]' } } as never;
}

test('number and users of several targets come before their names, root first', (t) => {
  t.is(targetsText([processOf(10, 1000)]), 'pid 10 [x] of uid 1000');
  t.is(targetsText([processOf(10, 1000), processOf(1, 0)]), '2 targets of uid 0, 1000: pid 10 [x], pid 1 [x]');
  const many = Array.from({ length: 7 }, (_, uid) => processOf(uid + 1, uid));
  t.true(targetsText(many).startsWith('7 targets of 7 users, uid 0, 1, 2, 3, 4, …: '));
});

test('the data that samples reveal comes before the names of the events', (t) => {
  t.is(eventsText([specOf()]), 'cpu-clock:uh');
  t.is(eventsText([specOf(), specOf()]), '2 events: cpu-clock:uh, cpu-clock:uh');
  const sampled = { sampling: { period: '1000' }, sampleType: ['ip', 'callchain'] };
  t.is(eventsText([specOf(undefined, sampled)]), '1 event (sampled with call chains): cpu-clock:uh');
  t.is(eventsText([specOf(undefined, { inherit: true })]), '1 event (children too): cpu-clock:uh');
});
