import test from 'ava';
import { EVENT_CLASSES } from '#dist/model/event.js';
import { actionId, actionsForEvents, AUTHORIZATION_ACTIONS } from '#dist/policy/decide/authorization.js';
import { counter, event } from '../fixtures.js';

test('own processes: count-own where everything counts, sample-own where anything samples', (t) => {
  t.deepEqual(actionsForEvents(['user'], [counter()]), ['count-own']);
  t.deepEqual(actionsForEvents(['user'], [counter(), event({ sampling: { frequency: 99 } })]), ['sample-own']);
});

test('an event that records what its target does is taken for a sampling one, as in the rules', (t) => {
  t.deepEqual(actionsForEvents(['user'], [{ ...counter(), records: ['mmap'] }]), ['sample-own']);
});

test('raw, tracepoint, breakpoint and kernel need the action for the kernel', (t) => {
  for (const name of ['raw', 'tracepoint', 'breakpoint', 'kernel'] as const)
    t.deepEqual(actionsForEvents(['user', name], [counter()]), ['kernel'], name);
});

test('every action that applies is needed, the strongest first', (t) => {
  t.deepEqual(actionsForEvents(EVENT_CLASSES, [counter()]), ['system-wide', 'other-user', 'kernel']);
  t.deepEqual(actionsForEvents(['user', 'other-users'], [counter()]), ['other-user']);
});

test('there is no request without an action', (t) => {
  for (let bits = 0; bits < 1 << EVENT_CLASSES.length; bits++) {
    const classes = EVENT_CLASSES.filter((_, index) => (bits >> index) & 1);
    t.true(actionsForEvents(classes, [counter()]).length > 0, classes.join());
  }
});

test('polkit knows them by their ids', (t) => {
  t.is(actionId('sample-own'), 'org.perfbroker.sample-own');
  t.is(new Set(AUTHORIZATION_ACTIONS).size, 7);
});
