import { openSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '#dist/native.js';
import { closeLater, openFds, runModule, temporaryDirectory } from './support.js';

/** Passes a socket as fd 3, as systemd does, to what stands after its arguments: blocking, and not closed on exec. */
const PASS = `
import os, socket, sys
kind, path = sys.argv[1:3]
family = socket.AF_UNIX if path else socket.AF_INET
s = socket.socket(family, getattr(socket, kind))
s.bind(path or ('127.0.0.1', 0))
if kind != 'SOCK_DGRAM': s.listen(4)
if s.fileno() != 3: os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.execvp(sys.argv[3], sys.argv[3:])`;

/** Program that prints the result of `adoptListener(3)`, and the flags of fd 3 (octal, proc(5)) before and after. */
const ADOPT = `
import { readFileSync } from 'node:fs';
const flags = () => /flags:\\s+(\\d+)/.exec(readFileSync('/proc/self/fdinfo/3', 'latin1'))[1];
const before = flags();
let result = 'adopted';
try { native.adoptListener(3); } catch (error) { result = error.code; }
console.log([result, before, flags()].join(' '));`;

const NONBLOCK = 0o4000;
const CLOEXEC = 0o2000000;

async function adopt(kind: string, path: string): Promise<readonly string[]> {
  const { output } = await runModule(ADOPT, ['python3', '-c', PASS, kind, path]);
  return output.trim().split(' ');
}

test.serial('a listening socket that was inherited is adopted, and neither blocks nor is inherited further', async (t) => {
  const [result, before, after] = await adopt('SOCK_STREAM', join(temporaryDirectory(t), 's'));
  t.is(result, 'adopted');
  t.is(parseInt(before!, 8) & NONBLOCK, 0);
  t.is(parseInt(after!, 8) & (NONBLOCK | CLOEXEC), NONBLOCK | CLOEXEC);
});

test.serial('an inherited socket of another kind is refused and left as it was', async (t) => {
  for (const [kind, path, code] of [
    ['SOCK_SEQPACKET', 's', 'EPROTOTYPE'],
    ['SOCK_DGRAM', 's', 'EPROTOTYPE'],
    ['SOCK_STREAM', '', 'EAFNOSUPPORT'],
  ] as const) {
    const [result, before, after] = await adopt(kind, path === '' ? '' : join(temporaryDirectory(t), path));
    t.is(result, code, `${kind} ${path}`);
    t.is(after, before);
  }
});

test.serial('an fd that is not a listening socket is refused', (t) => {
  const [one, other] = native.socketPair('stream');
  const file = openSync('/dev/null', 'r');
  closeLater(t, one, other, file);
  t.throws(() => native.adoptListener(one), { code: 'EINVAL' });
  t.throws(() => native.adoptListener(file), { code: 'ENOTSOCK' });
  t.throws(() => native.adoptListener(Math.max(...openFds()) + 100), { code: 'EBADF' });
});
