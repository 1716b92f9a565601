import test from 'ava';
import { Tickets, type TicketPayload } from '#dist/broker/grants/tickets.js';

interface Thing extends TicketPayload {
  readonly kind: 'a' | 'b';
  released: number;
}

function thing(kind: 'a' | 'b' = 'a', fds = 1): Thing {
  const made: Thing = { kind, fds, released: 0, release: () => (made.released += 1) };
  return made;
}

const anything = (held: TicketPayload): held is Thing => 'kind' in held;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('a ticket is 128 random bits, and valid once', (t) => {
  const tickets = new Tickets();
  const held = thing();
  const ticket = tickets.add(1000, held);
  t.regex(ticket, /^[0-9a-f]{32}$/);
  t.is(tickets.find(ticket, 1000, anything), held);
  t.is(tickets.find(ticket, 1000, anything), held, 'until it is redeemed');
  tickets.redeem(ticket);
  t.is(tickets.find(ticket, 1000, anything), null);
  t.is(held.released, 0, 'who took it releases it');
  t.is(tickets.size, 0);
});

test("another user's, another method's and an unknown ticket get the same answer, and the owner's ticket stays valid", (t) => {
  const tickets = new Tickets();
  const held = thing();
  const ticket = tickets.add(1000, held);
  t.is(tickets.find(ticket, 1001, anything), null);
  t.is(
    tickets.find(ticket, 1000, (each: TicketPayload): each is Thing => anything(each) && each.kind === 'b'),
    null,
  );
  t.is(tickets.find('0'.repeat(32), 1000, anything), null);
  t.is(tickets.find('__proto__', 1000, anything), null);
  t.is(tickets.find(ticket, 1000, anything), held);
});

test('an expired ticket is gone, and its request is released', async (t) => {
  const tickets = new Tickets(20);
  const held = thing();
  const ticket = tickets.add(1000, held);
  await sleep(60);
  t.is(held.released, 1);
  t.is(tickets.find(ticket, 1000, anything), null);
  t.is(tickets.size, 0);
});

test('a user has 16 tickets at most, and other users still get tickets', (t) => {
  const tickets = new Tickets();
  const all = Array.from({ length: 16 }, () => tickets.add(1000, thing()));
  const over = thing();
  t.throws(() => tickets.add(1000, over), { message: /16 of 16 tickets/ });
  t.is(over.released, 0, 'what was not taken over stays the caller’s');
  t.notThrows(() => tickets.add(1001, thing()));
  tickets.redeem(all[0]!);
  t.notThrows(() => tickets.add(1000, thing()));
  tickets.clear();
});

test('the fds that tickets hold are bounded for each user and for all', (t) => {
  const tickets = new Tickets();
  tickets.add(1000, thing('a', 200));
  t.throws(() => tickets.add(1000, thing('a', 57)), { message: /257 of 256 fds/ });
  for (let uid = 1; uid <= 15; uid++) tickets.add(uid, thing('a', 256));
  t.throws(() => tickets.add(99, thing('a', 256)), { message: /all users together/ });
  tickets.clear();
});

test('all users have 256 tickets at most', (t) => {
  const tickets = new Tickets();
  for (let index = 0; index < 256; index++) tickets.add(index, thing());
  t.throws(() => tickets.add(1000, thing()), { message: /256 of 256/ });
  tickets.clear();
});

test('clear releases each held request once', async (t) => {
  const tickets = new Tickets(10);
  const held = thing();
  tickets.add(1000, held);
  tickets.clear();
  await sleep(30);
  t.is(held.released, 1);
});
