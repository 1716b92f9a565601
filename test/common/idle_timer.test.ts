import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { IdleTimer } from '#dist/common/idle_timer.js';

function fixture(): { state: { busy: boolean; looks: number; last: number; ended: number }; idle: IdleTimer } {
  const state = { busy: false, looks: 0, last: performance.now(), ended: 0 };
  const idle = new IdleTimer({
    busy: () => {
      state.looks += 1;
      return state.busy;
    },
    lastActivityMs: () => state.last,
    onIdle: () => (state.ended += 1),
  });
  return { state, idle };
}

test('it ends once, after the time without activity and not before', async (t) => {
  const { state, idle } = fixture();
  idle.start(0.3);
  await sleep(200);
  state.last = performance.now();
  await sleep(200);
  t.is(state.ended, 0, 'something came in between');
  await sleep(300);
  t.is(state.ended, 1);
  await sleep(500);
  t.is(state.ended, 1);
});

test('it does not end while it is busy', async (t) => {
  const { state, idle } = fixture();
  state.busy = true;
  idle.start(0.1);
  await sleep(350);
  t.is(state.ended, 0);
  state.busy = false;
  await sleep(300);
  t.is(state.ended, 1);
});

test('with an idle time of 0 it never ends, and a reload can set 0 or another time', async (t) => {
  const { state, idle } = fixture();
  idle.start(0.1);
  idle.start(0);
  await sleep(250);
  t.is(state.ended, 0);
  idle.start(0.1);
  await sleep(250);
  t.is(state.ended, 1);
});

test('a time above the longest timer of node is not a short one', async (t) => {
  const { state, idle } = fixture();
  idle.start(30 * 86_400);
  await sleep(50);
  t.is(state.looks, 0);
  idle.start(0);
});
