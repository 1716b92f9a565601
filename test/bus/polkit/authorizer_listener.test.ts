import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { bindListener, brokerUid, passedListener } from '#dist/bus/polkit/authorizer_listener.js';
import { native } from '#dist/native.js';

function pathOf(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-listener-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return join(directory, 'authorizer.sock');
}

test('the uid of the broker is that of its user, or one that no other user has', (t) => {
  t.is(brokerUid('root'), 0);
  t.is(brokerUid('no-such-user-of-perfbroker'), 60910);
});

test('sockets that were passed to another process are not ours, and the variables are gone for children', (t) => {
  const env = { LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'x', OTHER: 'y' };
  t.is(passedListener(env), null);
  t.deepEqual(env as object, { OTHER: 'y' });
  t.is(passedListener({}), null);
});

test('several sockets, or an fd of another file, are an error', (t) => {
  const env = (count: string): NodeJS.ProcessEnv => ({ LISTEN_PID: String(process.pid), LISTEN_FDS: count });
  t.throws(() => passedListener(env('2')), { message: /LISTEN_FDS is 2: expected one socket/ });
  t.throws(() => passedListener(env('1')), { message: /fd 3 of LISTEN_FDS is not a listening unix stream socket/ });
});

test('any user may connect to the socket, which takes the place of one without a listener', (t) => {
  const path = pathOf(t);
  native.close(bindListener(path));
  const listener = bindListener(path);
  t.is(statSync(path).mode & 0o777, 0o666);
  t.throws(() => bindListener(path), { code: 'EADDRINUSE' }, 'a live one is left alone');
  native.close(native.connectUnix(path));
  native.close(listener);
});

test('a file that is not a socket is never removed', (t) => {
  const path = pathOf(t);
  writeFileSync(path, 'precious');
  t.throws(() => bindListener(path), { code: 'EADDRINUSE' });
  t.is(readFileSync(path, 'latin1'), 'precious');
});
