import test from 'ava';
import { measureSlowness } from '#dist/broker/host/slowness.js';

/** Slowness of a machine where reading a process takes `ms`; every fifth read is held up. */
function slownessOf(ms: number): number {
  let cpu = 0;
  let looks = 0;
  return measureSlowness(
    () => {
      looks += 1;
      cpu += looks % 5 === 0 ? 1000 * ms : ms;
    },
    () => cpu,
  );
}

test('the slowness of a machine is the median of several runs, and at least 1', (t) => {
  t.is(slownessOf(0.01), 1);
  t.is(slownessOf(0.2), 1);
  t.true(Math.abs(slownessOf(4) - 20) < 1e-6);
  t.is(slownessOf(1000), 100);
});

test('this machine has a slowness', (t) => {
  const slowness = measureSlowness();
  t.true(slowness >= 1 && slowness <= 100, `${slowness}`);
});
