import test from 'ava';
import { didYouMean, nearest, suggestion } from '#dist/common/nearest.js';

const KNOWN = ['users', 'groups', 'cpu-clock', 'task-clock'];

test('the nearest name is found by few edits, in any case, with - or _', (t) => {
  t.is(nearest('usres', KNOWN), 'users', 'two neighbours swapped');
  t.is(nearest('group', KNOWN), 'groups');
  t.is(nearest('CPU_CLOCK', KNOWN), 'cpu-clock');
  t.is(nearest('tsk-clok', KNOWN), 'task-clock');
});

test('a name that needs more edits than a third of it has no nearest', (t) => {
  t.is(nearest('uuuuu', KNOWN), undefined);
  t.is(nearest('', KNOWN), undefined);
  t.is(nearest('users', []), undefined);
});

test('of names that are equally near the first is taken, and a nearer one is taken before both', (t) => {
  t.is(nearest('aab', ['aac', 'aad']), 'aac');
  t.is(nearest('aab', ['aac', 'aab']), 'aab');
});

test('a guess is a clause or a sentence, and nothing without a guess', (t) => {
  t.is(didYouMean('cpu-clock'), '; did you mean cpu-clock?');
  t.is(didYouMean(undefined), '');
  t.is(suggestion('usres', KNOWN), 'Did you mean "users"? ');
  t.is(suggestion('xyz', KNOWN), '');
});

test('a very long name costs no more than its first 64 characters', (t) => {
  t.is(nearest('u'.repeat(1_000_000), ['u'.repeat(64)]), 'u'.repeat(64));
});
