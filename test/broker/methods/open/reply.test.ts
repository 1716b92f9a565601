import test from 'ava';
import { sendSlots } from '#dist/broker/methods/open/reply.js';
import type { Granted } from '#dist/broker/methods/open/grant.js';
import { FakeReply } from '../fakes.js';

function grantedOf(slotCount: number): Granted {
  const slots = Array.from({ length: slotCount }, (_, index) => ({
    event: 0,
    target: 0,
    tid: index,
    cpu: -1,
    fd: index,
  }));
  return { id: 'g', slots: slots as never, unstable: false, lease: 60, downgraded: null };
}

test('fds are sent in replies of at most 253, of which all but the last say that more follow', (t) => {
  const sent: [count: number, continues: boolean][] = [];
  const lend = (_: object, fds: readonly number[], continues: boolean): boolean =>
    sent.push([fds.length, continues]) > 0;
  sendSlots({ has: () => true }, grantedOf(600), { lend });
  t.deepEqual(sent, [
    [253, true],
    [253, true],
    [94, false],
  ]);
});

test('fds of a grant that has ended are not sent', (t) => {
  const reply = new FakeReply();
  t.like(
    t.throws(() => sendSlots({ has: () => false }, grantedOf(1), reply)),
    { error: 'TargetGone', code: 'exited' },
  );
  t.deepEqual(reply.lent, []);
});
