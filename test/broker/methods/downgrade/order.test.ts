import test from 'ava';
import { orderFacts, orderText, parseOrder } from '#dist/broker/methods/downgrade/order.js';
import { administrator, subject } from '../../../policy/fixtures.js';

const user = subject();

test('an order names capabilities, no_new_privs, or both', (t) => {
  const order = parseOrder({ drop: ['CAP_PERFMON', 'CAP_SYS_ADMIN'], noNewPrivs: true }, user);
  t.deepEqual(order, { drop: (1n << 38n) | (1n << 21n), noNewPrivs: true, dryRun: false, deadline: 100 });
  t.is(orderText(order), 'take CAP_SYS_ADMIN,CAP_PERFMON, set no_new_privs');
  t.deepEqual(orderFacts(order), { drop: ['CAP_SYS_ADMIN', 'CAP_PERFMON'], noNewPrivs: true });
  t.is(orderText(parseOrder({ drop: [], noNewPrivs: true, dryRun: true }, user)), 'set no_new_privs, dry run');
});

test('all capabilities have a name of their own', (t) => {
  const order = parseOrder({ drop: ['all'] }, user);
  t.is(orderText(order), 'take all capabilities');
  t.deepEqual(orderFacts(order), { drop: ['all'], noNewPrivs: false });
});

test('an empty order is refused, and so is an unknown capability, with the nearest one', (t) => {
  t.like(
    t.throws(() => parseOrder({ drop: [] }, user)),
    { code: 'nothing-asked' },
  );
  t.like(
    t.throws(() => parseOrder({ drop: ['CAP_PERFMAN'] }, user), { message: /did you mean CAP_PERFMON/ }),
    {
      code: 'unknown-capability',
    },
  );
});

test('only an administrator can name a deadline above 100 ms', (t) => {
  t.is(parseOrder({ drop: ['all'], deadlineMs: 101 }, administrator).deadline, 101);
  for (const deadlineMs of [0, 101])
    t.like(
      t.throws(() => parseOrder({ drop: ['all'], deadlineMs }, user)),
      { code: 'bad-value' },
    );
});
