import test from 'ava';
import { native, READABLE, WRITABLE, type Fd } from '#dist/native.js';
import { closeLater, openFds, runModule } from './support.js';

function pair(): readonly [Fd, Fd] {
  return native.socketPair('stream');
}

test.serial('a poller reports readable, writable and the other end going away', async (t) => {
  const [near, far] = pair();
  closeLater(t, near);
  const seen: [number, number][] = [];
  let wake = (): void => undefined;
  const poller = native.createPoller(near, (status, events) => {
    seen.push([status, events]);
    poller.stop();
    wake();
  });
  const next = (events: number): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      poller.start(events);
    });
  await next(WRITABLE | READABLE);
  native.sendMessage(far, new Uint8Array(1), []);
  await next(READABLE);
  native.receiveMessage(near, new Uint8Array(1));
  native.close(far);
  await next(READABLE);
  poller.close();
  t.deepEqual(seen, [
    [0, WRITABLE],
    [0, READABLE],
    [0, READABLE],
  ]);
});

test.serial('a stopped poller is silent, a restarted one reports the events it missed', async (t) => {
  const [near, far] = pair();
  closeLater(t, near, far);
  let calls = 0;
  let wake = (): void => undefined;
  const poller = native.createPoller(near, () => {
    calls++;
    poller.stop();
    wake();
  });
  poller.start(READABLE);
  poller.stop();
  native.sendMessage(far, new Uint8Array(1), []);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.is(calls, 0);
  await new Promise<void>((resolve) => {
    wake = resolve;
    poller.start(READABLE);
  });
  t.is(calls, 1);
  poller.close();
});

test.serial('close is idempotent, also from within the callback, and start after it is EBADF', async (t) => {
  const [near, far] = pair();
  closeLater(t, near, far);
  await new Promise<void>((resolve) => {
    const poller = native.createPoller(near, () => {
      poller.close();
      poller.close();
      poller.stop();
      t.throws(
        () => {
          poller.start(READABLE);
        },
        { code: 'EBADF' },
      );
      resolve();
    });
    poller.start(WRITABLE);
  });
  // The fd is the caller's, and free for the next poller.
  native.createPoller(near, () => undefined).close();
});

test.serial('the error for an fd that cannot be polled says why', (t) => {
  t.throws(() => native.createPoller(1_000_000, () => undefined), { code: 'EBADF', message: /uv_poll_init/ });
  const [near, far] = pair();
  closeLater(t, near, far);
  const first = native.createPoller(near, () => undefined);
  first.start(READABLE);
  t.throws(() => native.createPoller(near, () => undefined), { code: 'EEXIST' });
  for (const events of [0, 16, 1.5, NaN])
    t.throws(
      () => {
        first.start(events);
      },
      { instanceOf: TypeError },
    );
  first.close();
});

test.serial('a started poller keeps the process alive, a stopped or closed one does not', async (t) => {
  const started = await runModule(`
    const [near, far] = native.socketPair('stream');
    setTimeout(() => native.sendMessage(far, new Uint8Array(1), []), 50).unref();
    const begun = Date.now();
    const poller = native.createPoller(near, () => { console.log('ready'); poller.stop(); });
    poller.start(1);`);
  // unref: nothing but the poller waits for the timer.
  t.deepEqual(started, { code: 0, signal: null, output: 'ready\n' });
  const idle = await runModule(`
    const one = native.socketPair('stream'), two = native.socketPair('stream'), three = native.socketPair('stream');
    const stopped = native.createPoller(one[0], () => {}), closed = native.createPoller(two[0], () => {});
    native.createPoller(three[0], () => {});
    stopped.start(1); stopped.stop(); closed.start(1); closed.close();`);
  t.deepEqual(idle, { code: 0, signal: null, output: '' });
});

test.serial('a poller that JavaScript no longer references continues while it is started', async (t) => {
  const { code, output } = await runModule(`
    const [near, far] = native.socketPair('stream');
    (() => { native.createPoller(near, () => { console.log('ready'); process.exit(0); }).start(1); })();
    for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
    native.sendMessage(far, new Uint8Array(1), []);`);
  t.is(output, 'ready\n');
  t.is(code, 0);
});

test.serial('an exception in a callback is an uncaught exception, and the poller survives a handler', async (t) => {
  const { code, output } = await runModule(`
    const [near] = native.socketPair('stream');
    let calls = 0;
    process.on('uncaughtException', (error) => console.log(error.message));
    const poller = native.createPoller(near, () => {
      if (++calls === 2) poller.close();
      throw new Error('call ' + calls);
    });
    poller.start(2);`);
  t.is(output, 'call 1\ncall 2\n');
  t.is(code, 0);
  const unhandled = await runModule(`
    const [near] = native.socketPair('stream');
    native.createPoller(near, () => { throw new Error('nobody listens'); }).start(2);`);
  t.is(unhandled.code, 1);
  t.regex(unhandled.output, /nobody listens/);
});

test.serial('1,000 pollers that are created, started and closed leave nothing behind', async (t) => {
  const before = openFds();
  for (let i = 0; i < 1000; i++) {
    const [near, far] = pair();
    const poller = native.createPoller(near, () => undefined);
    poller.start(READABLE);
    if (i % 2 === 0) poller.stop();
    poller.close();
    native.close(near);
    native.close(far);
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  t.deepEqual(openFds(), before);
});
