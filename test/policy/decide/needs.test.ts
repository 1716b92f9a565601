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

test('a caller that the opener cannot verify needs other-users only where the ceiling excludes it', (t) => {
  const unverified = subject({ dumpable: false });
  t.deepEqual(neededClasses(request({ subject: unverified, ceiling: ['user'] })), ['user', 'other-users']);
  t.deepEqual(neededClasses(request({ subject: unverified, ceiling: EVENT_CLASSES })), ['user']);
});

test('records make a counting event a sampling one', (t) => {
  t.is(modeOf(counter()), 'counting');
  t.is(modeOf({ ...counter(), records: ['mmap2'] }), 'sampling');
  t.is(modeOf(event()), 'sampling');
});
