import test from 'ava';
import { hottestFunctions } from '#dist/collector/profile/hot_functions.js';

function stack(event: number, samples: number, ...names: string[]) {
  return { event, comm: 'program', frames: names.map((name) => ({ name, object: 'program' })), samples };
}

test('a function counts its own samples, and those of all functions that it called', (t) => {
  const stacks = [stack(0, 3, 'main', 'work'), stack(0, 2, 'main'), stack(0, 1, 'main', 'work', 'leaf')];
  t.deepEqual(
    hottestFunctions({ stacks }, 0).map(({ name, self, total }) => [name, self, total]),
    [
      ['work', 3, 4],
      ['main', 2, 6],
      ['leaf', 1, 1],
    ],
  );
});

test('a sample of a recursive function counts once', (t) => {
  const [first] = hottestFunctions({ stacks: [stack(0, 5, 'f', 'f', 'f')] }, 0);
  t.like(first, { self: 5, total: 5 });
});

test('each event has its own functions, and a stack without frames none', (t) => {
  const profile = { stacks: [stack(0, 1, 'a'), stack(1, 1, 'b'), stack(1, 9)] };
  t.deepEqual(
    hottestFunctions(profile, 1).map(({ name }) => name),
    ['b'],
  );
});
