import { openSync } from 'node:fs';
import test from 'ava';
import type { Grant } from '#dist/broker/grants/grants.js';
import { newGrantId } from '#dist/broker/grants/grants.js';
import { listGrants, mapped, revoke, watchGrants } from '#dist/broker/methods/grants.js';
import { callOf, FakeBroker, FakeClient, FakeReply, peerOf } from './fakes.js';

const ALICE = 60123;
const BOB = 60124;
const clientOf = (uid: number): FakeClient => new FakeClient(peerOf({ uid, permitted: 0n }));

function grantOf(broker: FakeBroker, uid: number, onRelease: () => void = () => undefined): Grant {
  return broker.grants.add(newGrantId(), {
    subject: peerOf({ uid }).subject,
    lane: uid,
    owner: {},
    targets: [{ kind: 'system', fd: null }],
    fds: [openSync('/dev/null', 'r')],
    events: 1,
    ringBytes: 0,
    rule: 'own',
    leaseSeconds: 0,
    ringFds: [],
    releaseRings: () => {
      onRelease();
      return Promise.resolve();
    },
    releaseQuota: () => undefined,
    releaseRingQuota: () => undefined,
  });
}

test('a user lists its own grants, and those of all users only when polkit authorizes it', async (t) => {
  const broker = new FakeBroker(t);
  const own = grantOf(broker, ALICE);
  grantOf(broker, BOB);
  const list = async (parameters: object): Promise<string[]> => {
    const reply = new FakeReply();
    await listGrants(broker, callOf(clientOf(ALICE), parameters), reply);
    return (reply.replies[0] as { grants: { id: string }[] }).grants.map(({ id }) => id);
  };
  t.deepEqual(await list({}), [own.id]);
  t.like(await t.throwsAsync(list({ all: true })), { error: 'PolicyDenied', code: 'not-administrator' });
  t.is((await list({ all: true, allowInteractive: true })).length, 2);
  t.like(broker.authorizer.questions, [{ action: 'administer' }]);
});

test("another user's grant is not found, is not revoked, and polkit is asked before it is looked for", async (t) => {
  const broker = new FakeBroker(t);
  const { id } = grantOf(broker, BOB);
  const attempt = (parameters: object): Promise<void> =>
    revoke(broker, callOf(clientOf(ALICE), parameters), new FakeReply());
  const none = { error: 'NoSuchGrant', code: 'unknown' };
  t.like(await t.throwsAsync(attempt({ grant: id })), none);
  t.like(await t.throwsAsync(attempt({ grant: 'text for a dialog', allowInteractive: true })), none);
  t.is(broker.authorizer.questions.length, 0);
  t.like(await t.throwsAsync(attempt({ grant: newGrantId(), allowInteractive: true })), none);
  t.is(broker.authorizer.questions.length, 1, 'asked about a grant that does not exist');
  t.is(broker.grants.size, 1);
  await attempt({ grant: id, allowInteractive: true });
  t.is(broker.grants.size, 0);
  t.like(broker.records.at(-1), { action: 'revoke', grant: id, of: BOB });
});

test('rings are released for the user of the grant alone', (t) => {
  const broker = new FakeBroker(t);
  let released = 0;
  const { id } = grantOf(broker, ALICE, () => (released += 1));
  const parameters = { grant: id };
  t.like(
    t.throws(() => mapped(broker, callOf(clientOf(BOB), parameters), new FakeReply())),
    { code: 'unknown' },
  );
  t.is(released, 0);
  mapped(broker, callOf(clientOf(ALICE), parameters), new FakeReply());
  t.is(released, 1);
});

test('a watch reports the grants of its user until the client disconnects', async (t) => {
  const broker = new FakeBroker(t);
  const client = clientOf(ALICE);
  const reply = new FakeReply();
  const watching = watchGrants(broker, callOf(client, {}, [], true), reply);
  const { id } = grantOf(broker, ALICE);
  grantOf(broker, BOB);
  client.disconnect();
  await watching;
  grantOf(broker, ALICE);
  t.like(reply.replies, [{ change: 'present' }, { change: 'added', grant: { id } }, { change: 'present' }]);
  t.is(reply.replies.length, 3);
});

test('a watch needs "more", and one of all users an administrator', async (t) => {
  const broker = new FakeBroker(t);
  await t.throwsAsync(watchGrants(broker, callOf(clientOf(ALICE), {}), new FakeReply()), { message: /more/ });
  const all = watchGrants(broker, callOf(clientOf(ALICE), { all: true }, [], true), new FakeReply());
  t.like(await t.throwsAsync(all), { error: 'PolicyDenied', code: 'not-administrator' });
});
