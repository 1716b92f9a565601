import test from 'ava';
import { native } from '#dist/native.js';
import { openFds } from './support.js';

// The declared types are deliberately ignored: this is what plain JavaScript may pass.
const untyped = native as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;
const noop = (): void => undefined;
const bytes = new Uint8Array(16);

const BAD_FDS: readonly unknown[] = [NaN, 1.5, 2 ** 31, '3', -1, -0.5, Infinity, null, undefined, 3n, {}, [3], true];

/** Functions by the arguments that stand before and after an fd. */
const FD_PLACES: readonly (readonly [string, readonly unknown[], readonly unknown[]])[] = [
  ['adoptListener', [], []],
  ['accept', [], []],
  ['peerCredentials', [], []],
  ['peerIds', [], []],
  ['sendMessage', [], [bytes, []]],
  ['receiveMessage', [], [bytes]],
  ['shutdown', [], []],
  ['close', [], []],
  ['endConnection', [], []],
  ['closeConnection', [1], []],
  ['duplicate', [], []],
  ['pidfdAlive', [], []],
  ['perfEnable', [], []],
  ['perfDisable', [], []],
  ['perfReset', [], []],
  ['perfId', [], []],
  ['perfSetOutput', [], [0]],
  ['perfSetOutput', [0], []],
  ['perfRead', [], []],
  ['createPoller', [], [noop]],
  ['createDrain', [], []],
  ['createRing', [], [1]],
];

for (const [name, before, after] of FD_PLACES) {
  test.serial(`${name} takes nothing but an fd as argument ${before.length + 1}`, (t) => {
    const open = openFds();
    for (const bad of BAD_FDS) {
      t.throws(() => untyped[name]?.(...before, bad, ...after), { instanceOf: TypeError }, `value ${String(bad)}`);
    }
    t.deepEqual(openFds(), open);
  });
}

const BAD_CALLS: readonly (readonly [string, readonly unknown[]])[] = [
  ['pidfdOpen', [0]],
  ['pidfdOpen', [-1]],
  ['pidfdOpen', [2 ** 32 + 1]],
  ['pidfdOpen', ['1']],
  ['socketPair', ['dgram']],
  ['socketPair', [1]],
  ['userId', ['']],
  ['userId', ['root\0x']],
  ['userId', [0]],
  ['userId', []],
  ['groupId', ['']],
  ['groupId', ['root\0x']],
  ['groupId', [null]],
  ['connectUnix', ['']],
  ['connectUnix', ['\0abstract']],
  ['connectUnix', ['/tmp/a\0b']],
  ['connectUnix', [Buffer.from('/tmp/x')]],
  ['listenUnix', ['/tmp/x', 0]],
  ['listenUnix', ['/tmp/x', 65536]],
  ['listenUnix', ['/tmp/x']],
  ['sendMessage', [0, 'text', []]],
  ['sendMessage', [0, new Uint8Array(0), []]],
  ['sendMessage', [0, new Uint16Array(4), []]],
  ['sendMessage', [0, bytes.buffer, []]],
  ['sendMessage', [0, bytes, [1.5]]],
  ['sendMessage', [0, bytes, ['1']]],
  ['sendMessage', [0, bytes, [0, -1]]],
  ['sendMessage', [0, bytes, 0]],
  ['sendMessage', [0, bytes, { length: 1, 0: 0 }]],
  ['receiveMessage', [0, new Uint8Array(0)]],
  ['receiveMessage', [0, 16]],
  ['createPoller', [0]],
  ['createPoller', [0, {}]],
  ['createRing', [0, 0]],
  ['createRing', [0, 3]],
  ['createRing', [0, 2 ** 21]],
  ['closeInLane', [NaN, [0], null]],
  ['closeInLane', [2 ** 32, [0], null]],
  ['closeInLane', [-(2 ** 31) - 1, [0], null]],
  ['closeInLane', [1, 0, null]],
  ['closeInLane', [1, [0, -1], null]],
  ['closeInLane', [1, [0], {}]],
  ['closeForeign', ['1', [0]]],
  ['closeForeign', [1, [1.5]]],
  ['disableInLane', [1, [0], 'done']],
  ['keepRingsInLane', [1, [0], [], 1, noop]],
  ['keepRingsInLane', [1, [0], [0], 3, noop]],
  ['keepRingsInLane', [1, [0], [0], 1]],
  ['ringsMappedInLane', [1, [0]]],
  ['foreignFds', [undefined]],
  ['clockNanoseconds', [-1]],
  ['clockNanoseconds', [NaN]],
  ['perfEventOpen', [new Uint8Array(63), 0, -1, -1, 0]],
  ['perfEventOpen', [new Uint8Array(4097), 0, -1, -1, 0]],
  ['perfEventOpen', [new Uint8Array(64), -2, -1, -1, 0]],
  ['perfEventOpen', [new Uint8Array(64), 0, -1, -1, NaN]],
  ['perfEventOpen', [new Uint8Array(64), 0, 0.5, -1, 0]],
];

for (const [index, [name, args]] of BAD_CALLS.entries()) {
  test.serial(`${name} refuses bad arguments, case ${index}`, (t) => {
    t.throws(() => untyped[name]?.(...args), { instanceOf: TypeError });
  });
}

test.serial('an attr that claims to be longer than it is is not read beyond its end', (t) => {
  const attr = new Uint8Array(64);
  new Uint32Array(attr.buffer)[1] = 128;
  t.throws(() => native.perfEventOpen(attr, 0, -1, -1, 0), { instanceOf: TypeError });
});

test.serial('a detached buffer counts as an empty one', (t) => {
  const detached = new Uint8Array(64);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  t.throws(() => native.receiveMessage(0, detached), { instanceOf: TypeError });
});

test.serial('a failed system call throws its errno, the name of the errno and the name of the call', (t) => {
  t.like(
    t.throws(() => {
      native.close(1_000_000);
    }),
    { errno: 9, code: 'EBADF', syscall: 'close', message: 'EBADF: Bad file descriptor, close' },
  );
});
