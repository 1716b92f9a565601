/** Fds that a closed connection leaves in flight while its peer has not read everything. */
import test from 'ava';
import { native } from '#dist/native.js';
import { FdsInFlight } from '#dist/varlink/fds_in_flight.js';
import { withNoFdsLeft } from '../tools/no_fds_left.js';
import { fdsBackTo, Observed, openFds, someFd } from './helpers.js';

test.serial('fds of a closed connection stay counted until the peer has read them', async (t) => {
  const before = openFds();
  const inFlight = new FdsInFlight(10);
  const observed = new Observed({}, inFlight);
  observed.connection.send({ fds: true }, [someFd(), someFd()]);
  observed.connection.close();
  t.is(inFlight.lingering, 1);
  t.false(inFlight.maySend(9));
  native.close(observed.peer);
  t.is(inFlight.lingering, 0);
  t.true(inFlight.maySend(9));
  t.deepEqual(await fdsBackTo(before), before);
});

for (const [way, posix] of [
  ['the limit of open files is reached', undefined],
  ['every number is in use', null],
] as const) {
  test.serial(`a connection is closed cleanly when no fd number is left: ${way}`, (t) => {
    const inFlight = new FdsInFlight(10);
    const observed = new Observed({}, inFlight);
    observed.connection.send({ fds: true }, [someFd()]);
    withNoFdsLeft(() => {
      t.throws(someFd, { code: 'EMFILE' });
      observed.connection.close();
    }, posix);
    t.is(observed.reason?.kind, 'closed');
    t.is(inFlight.lingering, 1);
    native.close(observed.peer);
    t.is(inFlight.lingering, 0);
  });
}
