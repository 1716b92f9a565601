import { fstatSync, openSync } from 'node:fs';
import test from 'ava';
import { LANES } from '#dist/broker/grants/lanes.js';
import type { Fd } from '#dist/native.js';

const LANE = 1000;
const NO_EVENT = (): Fd => openSync('/dev/null', 'r');
const isOpen = (fd: Fd): boolean => {
  try {
    return fstatSync(fd).isCharacterDevice();
  } catch {
    return false;
  }
};

// No lane keeps the event loop alive.
const alive = setInterval(() => undefined, 1000);
test.after.always(() => clearInterval(alive));

test.serial('fds are closed when the promise is settled', async (t) => {
  const fds = [NO_EVENT(), NO_EVENT()];
  await LANES.close(LANE, fds);
  t.false(fds.some(isOpen));
  await LANES.close(LANE, []);
});

test.serial('a lane keeps its order: it closes an fd only after its earlier operations', async (t) => {
  const fds = [NO_EVENT()];
  const { done, progress } = LANES.disable(LANE, fds);
  const closed = LANES.close(LANE, fds);
  await done;
  t.deepEqual(progress(), { disabled: 0, pending: 0 }, 'an fd of another file is not disabled, and not waited for');
  await closed;
  t.false(fds.some(isOpen));
});

test.serial('a ring counts as mapped unless the kernel says otherwise, and is anchored only by an event', async (t) => {
  const [anchor, ring] = [NO_EVENT(), NO_EVENT()];
  t.true(await LANES.ringsMapped(LANE, [ring]), 'an fd of another file');
  t.false(await LANES.ringsMapped(LANE, []));
  t.deepEqual(await LANES.keepRings(LANE, [anchor], [ring], null), { mapsRedirected: null, kept: [false] });
  await LANES.close(LANE, [anchor, ring]);
});
