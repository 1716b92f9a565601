import test from 'ava';
import { OpenedEvent } from '#dist/client/opened_event.js';
import { native } from '#dist/native.js';
import { fdsBackTo, openFds, someFd } from '../varlink/helpers.js';

const SLOT = { event: 1, target: 2, tid: 3, cpu: 4 };

test.serial('an event has the fields of its slot, and closes its fd once', async (t) => {
  const before = openFds();
  const fd = someFd();
  const event = new OpenedEvent(fd, SLOT);
  t.like(event, { ...SLOT, fd, closed: false });
  event.close();
  t.true(event.closed);
  t.deepEqual(await fdsBackTo(before), before);
  const other = someFd();
  t.is(other, fd, 'the number refers to another file now');
  event.close();
  t.notThrows(() => native.close(other));
});

test('a closed event refuses every use of its fd', (t) => {
  const event = new OpenedEvent(someFd(), SLOT);
  event[Symbol.dispose]();
  for (const use of [
    () => event.fd,
    () => event.enable(),
    () => event.disable(),
    () => event.reset(),
    () => event.id(),
    () => event.read(),
  ])
    t.throws(use, { message: 'the event is closed' });
});
