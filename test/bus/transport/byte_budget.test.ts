import test from 'ava';
import { REPLY_BUDGET, ByteBudget } from '#dist/bus/transport/byte_budget.js';

test('an allowance may be overdrawn, comes back with time, and is each user’s own', (t) => {
  let now = 0;
  const allowance = new ByteBudget({ perSecond: 100, burst: 1000, debt: 500 }, () => now);
  t.true(allowance.hasSome(1));
  allowance.spend(1, 1400);
  t.false(allowance.hasSome(1));
  t.true(allowance.mayReceive(1));
  allowance.spend(1, 100);
  t.false(allowance.mayReceive(1));
  t.true(allowance.hasSome(2));
  now += 5010;
  t.true(allowance.mayReceive(1));
  t.true(allowance.hasSome(1));
  now += 3_600_000; // no more than a burst is saved up
  allowance.spend(1, 1000);
  t.false(allowance.hasSome(1));
});

test('users whose allowance is complete again are forgotten', (t) => {
  let now = 0;
  const allowance = new ByteBudget({ perSecond: 100, burst: 1000, debt: 500 }, () => now);
  for (let uid = 0; uid < 1000; uid++) allowance.spend(uid, 100);
  t.is(allowance.size, 1000);
  now += 1001;
  allowance.spend(5, 1);
  t.is(allowance.size, 1);
});

test('what one user may be sent at once, and in minutes, is far below what the bus lets a service have unread', (t) => {
  const DBUS_DAEMON = 127 * 1024 * 1024; // max_incoming_bytes of the system bus
  t.true(REPLY_BUDGET.burst + REPLY_BUDGET.debt < DBUS_DAEMON / 10);
  t.true(REPLY_BUDGET.perSecond * 300 < DBUS_DAEMON);
});
