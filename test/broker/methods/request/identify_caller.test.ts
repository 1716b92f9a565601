import { openSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { identifyCaller, subjectOf, type Caller } from '#dist/broker/methods/request/identify_caller.js';
import { native, type Fd } from '#dist/native.js';
import { callOf, FakeBroker, FakeClient, FRONT_END, newWork, settledFds, peerOf } from '../fakes.js';

const { uid: UID } = peerOf().subject;
const pidfd = (): Fd => native.pidfdOpen(process.pid);

interface Outcome {
  readonly caller: Caller;
  readonly charged: FakeBroker['charged'];
  readonly paid: [uid: number, tokens: number][];
}

function identify(t: ExecutionContext, as: number, sender?: object, fds: readonly Fd[] = [], targets = 0): Outcome {
  const broker = new FakeBroker(t);
  const client = new FakeClient(peerOf({ uid: as }));
  const paid: [uid: number, tokens: number][] = [];
  const call = { ...callOf(client, {}, fds), work: newWork(client, paid) };
  try {
    const caller = identifyCaller(broker, call, sender as never, targets);
    return { caller, charged: broker.charged, paid };
  } finally {
    call.fds.closeRest();
  }
}

test.serial('a client without a sender speaks for itself, and pays for each target but the first', (t) => {
  const { caller, charged, paid } = identify(t, UID, undefined, [], 5);
  t.deepEqual([subjectOf(caller).uid, caller.busName], [UID, null]);
  t.deepEqual(charged, [[UID, 4]]);
  t.deepEqual(paid, [[UID, 4]]);
});

test.serial(
  'a caller that the front end names is the process of the pidfd, under the uid that it vouches for',
  async (t) => {
    const before = await settledFds();
    const { caller, charged, paid } = identify(t, FRONT_END, { busName: ':1.42', uid: UID, pidfd: 0 }, [pidfd()], 3);
    t.like(subjectOf(caller), { uid: UID, pid: process.pid });
    t.is(caller.busName, ':1.42');
    t.deepEqual([charged, paid], [[[UID, 3]], [[UID, 3]]]);
    t.is(await settledFds(), before);
  },
);

test.serial('no other client can name a caller', (t) => {
  const error = t.throws(() => identify(t, UID, { busName: ':1.42', uid: UID, pidfd: 0 }, [pidfd()]));
  t.like(error, { error: 'PolicyDenied', code: 'not-front-end' });
});

test.serial('a sender with a wrong name, uid or fd is refused, and its fd closed', async (t) => {
  const before = await settledFds();
  const right = { busName: ':1.42', uid: UID, pidfd: 0 };
  const wrong: readonly (readonly [sender: object, fd: () => Fd, text: RegExp])[] = [
    [{ ...right, busName: 'org.perfbroker' }, pidfd, /not a unique name/],
    [{ ...right, uid: -1 }, pidfd, /-1 is not a uid/],
    [{ ...right, uid: 2 ** 32 - 1 }, pidfd, /4294967295 is not a uid/],
    [{ ...right, uid: UID + 1 }, pidfd, /does not run as uid/],
    [right, () => openSync('/dev/null', 'r'), /not a pidfd/],
  ];
  for (const [sender, fd, message] of wrong)
    t.like(
      t.throws(() => identify(t, FRONT_END, sender, [fd()]), { message }),
      {
        error: 'InvalidTarget',
        code: 'sender',
      },
    );
  t.is(await settledFds(), before);
});
