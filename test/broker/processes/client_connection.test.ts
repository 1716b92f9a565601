import test from 'ava';
import type { ConnectionPermit } from '#dist/broker/fairness/connection_quota.js';
import { ClientConnection } from '#dist/broker/processes/client_connection.js';
import type { Peer } from '#dist/broker/processes/peer.js';
import { native } from '#dist/native.js';
import type { Connection } from '#dist/varlink/connection.js';

const LANE = 1000;
const GONE = { error: 'TargetGone', code: 'client-gone' };

function connect(socket = -1): ClientConnection {
  return new ClientConnection(socket, { uid: 1000, pid: 77 }, {} as ConnectionPermit);
}

test('a client is identified before it has a peer', (t) => {
  const client = connect();
  t.false(client.identified);
  t.throws(() => client.peer);
  const peer = { subject: { uid: 1000 }, samePidNamespace: true } as Peer;
  client.identify(peer);
  t.true(client.identified);
  t.is(client.subject, peer.subject);
});

test('the time since the last call is known once there was one', (t) => {
  const client = connect();
  t.is(client.quietMs, null);
  client.noteCall();
  const { quietMs } = client;
  t.true(quietMs !== null && quietMs >= 0 && quietMs <= client.ageMs);
});

test('the end of a client aborts the operations that wait for it, and its socket is not lent any more', async (t) => {
  const client = connect();
  let watched = 0;
  client.serveBy({ watchHangup: () => (watched += 1) } as unknown as Connection);
  const signal = client.watchHangup();
  t.is(watched, 1);
  t.false(signal.aborted);
  t.notThrows(() => client.requireConnected());
  client.leave();
  t.true(client.closed);
  t.true(signal.aborted);
  t.like(
    t.throws(() => client.requireConnected()),
    GONE,
  );
  t.like(await t.throwsAsync(client.withSocket(LANE, () => Promise.resolve())), GONE);
});

test('a lent socket is a duplicate, which is closed afterwards, also when its use fails', async (t) => {
  const [ours, theirs] = native.socketPair('seqpacket');
  const client = connect(ours);
  let lent = -1;
  const fault = new Error('no use');
  const thrown = await t.throwsAsync(
    client.withSocket(LANE, (socket) => {
      lent = socket;
      return Promise.reject(fault);
    }),
  );
  t.is(thrown, fault);
  t.not(lent, ours);
  native.close(ours);
  t.is(native.receiveMessage(theirs, new Uint8Array(1))?.bytes, 0, 'no duplicate is left open');
  native.close(theirs);
});
