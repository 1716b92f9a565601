import test, { type ExecutionContext } from 'ava';
import { native, type Fd } from '#dist/native.js';
import { FdsInFlight } from '#dist/varlink/fds_in_flight.js';
import { SendQueue } from '#dist/varlink/send_queue.js';
import { fdsBackTo, openFds, someFd } from './helpers.js';

// The fds of this process are counted: one test at a time.

interface World {
  readonly queue: SendQueue;
  readonly flush: () => unknown;
  readonly receive: () => { readonly bytes: number; readonly fds: readonly Fd[] } | null;
  /** Closes the sockets and the received fds. */
  readonly end: () => void;
}

function open(unreadFds = 100): World {
  const [socket, peer] = native.socketPair('stream');
  const queue = new SendQueue(new FdsInFlight(unreadFds), null);
  const received: Fd[] = [];
  return {
    queue,
    flush: () => queue.flush(socket, () => undefined),
    receive: () => {
      const message = native.receiveMessage(peer, new Uint8Array(1 << 20));
      received.push(...(message?.fds ?? []));
      return message;
    },
    end: () => {
      for (const fd of [socket, peer, ...received]) native.close(fd);
    },
  };
}

async function noneLeft(t: ExecutionContext, body: () => void): Promise<void> {
  const before = openFds();
  body();
  t.deepEqual(await fdsBackTo(before), before);
}

test.serial('each message is sent with its own fds, which are closed then', async (t) => {
  await noneLeft(t, () => {
    const { queue, flush, receive, end } = open();
    queue.push(Buffer.from('one'), [someFd(), someFd()], false);
    queue.push(Buffer.from('three'), [someFd()], false);
    t.deepEqual([queue.bytes, queue.fds, queue.empty], [8, 3, false]);
    t.is(flush(), 'sent');
    t.deepEqual([queue.bytes, queue.fds, queue.empty], [0, 0, true]);
    for (const [bytes, fds] of [
      [3, 2],
      [5, 1],
    ]) {
      const message = receive();
      t.deepEqual([message?.bytes, message?.fds.length], [bytes, fds]);
    }
    end();
  });
});

test.serial('messages stay queued while the socket is full, and the fds of dropped messages are closed', async (t) => {
  await noneLeft(t, () => {
    const { queue, flush, end } = open();
    queue.push(new Uint8Array(8 << 20), [someFd()], false);
    queue.push(Buffer.of(1), [someFd()], false);
    t.is(flush(), 'busy');
    t.true(queue.bytes > 1 && queue.bytes < 8 << 20);
    t.is(queue.fds, 1, 'those of the first message went with its first byte');
    queue.clear();
    t.deepEqual([queue.bytes, queue.fds, queue.empty], [0, 0, true]);
    end();
  });
});

test.serial('fds beyond the limit of unread ones wait until the peer has read', async (t) => {
  await noneLeft(t, () => {
    const { queue, flush, receive, end } = open(1);
    queue.push(Buffer.of(1), [someFd()], false);
    queue.push(Buffer.of(2), [someFd()], false);
    t.is(flush(), 'fds-in-flight');
    t.is(queue.fds, 1);
    receive();
    t.is(flush(), 'sent');
    t.is(receive()?.fds.length, 1);
    end();
  });
});

test.serial('lent fds stay open, and are duplicated when they have to wait', async (t) => {
  await noneLeft(t, () => {
    const { queue, flush, receive, end } = open();
    const lent = someFd();
    queue.push(Buffer.of(1), [lent], true);
    t.is(flush(), 'sent');
    receive();
    queue.push(Buffer.of(2), [lent], true);
    queue.ownFds();
    native.close(lent); // would be EBADF if the queue had closed it
    t.is(flush(), 'sent');
    t.is(receive()?.fds.length, 1);
    end();
  });
});

test.serial('a peer that is gone is an error', async (t) => {
  await noneLeft(t, () => {
    const [socket, peer] = native.socketPair('stream');
    const queue = new SendQueue(new FdsInFlight(1), null);
    native.close(peer);
    queue.push(Buffer.of(1), [], false);
    t.like(
      queue.flush(socket, () => undefined),
      { error: { code: 'EPIPE' } },
    );
    native.close(socket);
  });
});
