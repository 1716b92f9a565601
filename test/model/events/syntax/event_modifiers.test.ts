import test from 'ava';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { applyModifiers } from '#dist/model/events/syntax/event_modifiers.js';
import type { EventSpec } from '#dist/model/event.js';

const EVENT = bareEvent({ kind: 'hardware', name: 'cpu-cycles' });
function apply(letters: string, spec: EventSpec = EVENT): EventSpec {
  return applyModifiers(spec, letters, 2, (index, problem) => {
    throw new Error(`${index}: ${problem}`);
  });
}

test('the first level excludes the others, and further levels return', (t) => {
  t.deepEqual(apply('u').exclude, ['kernel', 'hv']);
  t.deepEqual(apply('uk').exclude, ['hv']);
  t.deepEqual(apply('ukh').exclude, []);
});

test('machines are chosen apart from levels', (t) => {
  t.deepEqual(apply('G').exclude, ['host']);
  t.deepEqual(apply('uH').exclude, ['kernel', 'hv', 'guest']);
});

test('I excludes idle, D pins, e is exclusive, S reads', (t) => {
  t.deepEqual(apply('I').exclude, ['idle']);
  t.like(apply('De'), { pinned: true, exclusive: true });
  t.deepEqual(apply('S').sampleType, ['read']);
});

test('p raises the precision and excludes guests, and P takes the best', (t) => {
  t.like(apply('pp'), { preciseIp: 2, exclude: ['guest'] });
  t.is(apply('P').preciseIp, 2);
  t.throws(() => apply('pppp'), { message: /^3: .*more than three times/ });
});

test("a group's modifiers add to those of its members", (t) => {
  t.deepEqual(apply('k', apply('u')).exclude, ['hv']);
});

test('a letter is given once, and an unknown one is refused at its place', (t) => {
  t.throws(() => apply('uu'), { message: '1: modifier u is given twice' });
  t.throws(() => apply('uz'), { message: /^1: modifier "z": it is not one of/ });
  t.throws(() => apply('W'), { message: /weak groups/ });
});
