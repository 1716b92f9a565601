import test from 'ava';
import { Turns } from '#dist/broker/fairness/turns.js';

test('one request goes on in each pass of the event loop, and users take turns', async (t) => {
  const turns = new Turns();
  const order: string[] = [];
  let passes = 0;
  let counting = true;
  const count = (): void => {
    passes += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const wait = async (user: number, name: string): Promise<void> => {
    await turns.next(user);
    order.push(`${name} ${passes}`);
  };
  await Promise.all([wait(7, 'a'), wait(7, 'b'), wait(7, 'c'), wait(8, 'other')]);
  counting = false;
  t.deepEqual(order, ['a 1', 'other 2', 'b 3', 'c 4']);
});

test('a turn that is requested during a turn comes after the waiting ones', async (t) => {
  const turns = new Turns();
  const order: string[] = [];
  const first = turns.next(7).then(async () => {
    order.push('first');
    await turns.next(7);
    order.push('again');
  });
  await Promise.all([first, turns.next(8).then(() => order.push('other'))]);
  t.deepEqual(order, ['first', 'other', 'again']);
});
