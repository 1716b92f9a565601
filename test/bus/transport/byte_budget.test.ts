import test from 'ava';
import { REPLY_BUDGET, ByteBudget } from '#dist/bus/transport/byte_budget.js';

test('a budget may be overdrawn, refills with time, and belongs to one user', (t) => {
  let now = 0;
  const budget = new ByteBudget({ perSecond: 100, burst: 1000, debt: 500 }, () => now);
  t.true(budget.hasSome(1));
  budget.spend(1, 1400);
  t.false(budget.hasSome(1));
  t.true(budget.mayReceive(1));
  budget.spend(1, 100);
  t.false(budget.mayReceive(1));
  t.true(budget.hasSome(2));
  now += 5010;
  t.true(budget.mayReceive(1));
  t.true(budget.hasSome(1));
  now += 3_600_000; // the balance is limited to the burst
  budget.spend(1, 1000);
  t.false(budget.hasSome(1));
});

test('the bytes for one user at once, and in minutes, are far below the limit of the bus for unread data of a service', (t) => {
  const DBUS_DAEMON = 127 * 1024 * 1024; // max_incoming_bytes of the system bus
  t.true(REPLY_BUDGET.burst + REPLY_BUDGET.debt < DBUS_DAEMON / 10);
  t.true(REPLY_BUDGET.perSecond * 300 < DBUS_DAEMON);
});
