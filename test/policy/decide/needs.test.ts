import test from 'ava';
import { EVENT_CLASSES } from '#dist/model/event.js';
import { classesOfTarget, modeOf, neededClasses } from '#dist/policy/decide/needs.js';
import {
  cgroup,
  counter,
  event,
  foreign,
  kernelEvent,
  process,
  request,
  subject,
  system,
  tracepoint,
} from '../fixtures.js';

test('a request needs the classes of all its events and targets, in the order of the table', (t) => {
  t.deepEqual(neededClasses(request({ targets: [system, foreign()], events: [tracepoint, kernelEvent] })), [
    'user',
    'tracepoint',
    'kernel',
    'other-users',
    'system-wide',
  ]);
});

test('a target needs a class unless it is the own process of the subject', (t) => {
  t.deepEqual(classesOfTarget(process(), subject()), []);
  t.deepEqual(classesOfTarget(process({ dumpable: false }), subject()), ['other-users']);
  t.deepEqual(classesOfTarget(cgroup('/a'), subject()), ['system-wide']);
});

test('no process is the own one of a caller that cannot be verified, regardless of the ceiling', (t) => {
  for (const unverified of [subject({ dumpable: false }), subject({ ownIds: false })])
    for (const ceiling of [['user'], EVENT_CLASSES] as const)
      t.deepEqual(neededClasses(request({ subject: unverified, ceiling })), ['user', 'other-users']);
});

test('records make a counting event a sampling one', (t) => {
  t.is(modeOf(counter()), 'counting');
  t.is(modeOf({ ...counter(), records: ['mmap2'] }), 'sampling');
  t.is(modeOf(event()), 'sampling');
});
