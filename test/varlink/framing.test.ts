import test from 'ava';
import fc from 'fast-check';
import { encodeFrame, FrameReader, ProtocolError } from '#dist/varlink/framing.js';

const LIMITS = { messageBytes: 100, maxFdsPerMessage: 3 };
const bytes = (text: string): Uint8Array => Buffer.from(text);

function frames(reader: FrameReader): { text: string; fds: readonly number[] }[] {
  const all = [];
  for (let frame = reader.next(); frame !== null; frame = reader.next()) {
    all.push({ text: Buffer.from(frame.bytes).toString(), fds: frame.fds });
  }
  return all;
}

test('messages come out as they went in, however the stream is cut', (t) => {
  const message = fc
    .string({ minLength: 1, maxLength: 30, unit: 'binary-ascii' })
    .map((text) => text.replaceAll('\0', ' '));
  const cut = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), fc.array(cut, { minLength: 1 }), (messages, cuts) => {
      const stream = bytes(messages.map((text) => `${text}\0`).join(''));
      const reader = new FrameReader(LIMITS);
      const out: string[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = cuts[turn % cuts.length] ?? 1;
        reader.push(stream.subarray(at, at + size), []);
        out.push(...frames(reader).map(({ text }) => text));
        at += size;
      }
      t.deepEqual(out, messages);
      t.is(reader.buffered, 0);
    }),
    { numRuns: 300 },
  );
});

test('fds belong to the message in which the last byte of their read lies', (t) => {
  const reader = new FrameReader(LIMITS);
  reader.push(bytes('one\0two\0'), [7]);
  t.deepEqual(frames(reader), [
    { text: 'one', fds: [] },
    { text: 'two', fds: [7] },
  ]);
  reader.push(bytes('three\0fo'), [8, 9]);
  t.deepEqual(frames(reader), [{ text: 'three', fds: [] }]);
  reader.push(bytes('ur'), []);
  t.deepEqual(frames(reader), []);
  reader.push(bytes('\0five'), [10]);
  t.deepEqual(frames(reader), [{ text: 'four', fds: [8, 9] }]);
  reader.push(bytes('\0'), [11]);
  t.deepEqual(frames(reader), [{ text: 'five', fds: [10, 11] }]);
  t.deepEqual(reader.takeFds(), []);
});

test('fds of an unfinished message can be taken from the reader', (t) => {
  const reader = new FrameReader(LIMITS);
  reader.push(bytes('half'), [1, 2]);
  t.is(reader.next(), null);
  t.deepEqual(reader.takeFds(), [1, 2]);
  t.deepEqual(reader.takeFds(), []);
});

test('a message may be as long as the limit and no longer', (t) => {
  const reader = new FrameReader(LIMITS);
  reader.push(bytes(`${'x'.repeat(100)}\0`), []);
  t.is(frames(reader)[0]?.text.length, 100);
  reader.push(bytes(`${'x'.repeat(101)}\0`), [5]);
  t.throws(() => reader.next(), { instanceOf: ProtocolError, message: /100 bytes/ });
  t.deepEqual(reader.takeFds(), [5]);
});

test('an endless message is refused at the limit, before its end', (t) => {
  const reader = new FrameReader(LIMITS);
  reader.push(bytes('x'.repeat(100)), []);
  t.is(reader.next(), null);
  reader.push(bytes('x'), []);
  t.throws(() => reader.next(), { instanceOf: ProtocolError });
});

test('an empty message is refused', (t) => {
  const reader = new FrameReader(LIMITS);
  reader.push(bytes('\0'), []);
  t.throws(() => reader.next(), { instanceOf: ProtocolError, message: /empty/ });
});

test('too many fds are refused, over all reads of a message, even before it ends', (t) => {
  const reader = new FrameReader(LIMITS);
  reader.push(bytes('a'), [1, 2]);
  t.is(reader.next(), null);
  reader.push(bytes('b'), [3, 4]);
  t.throws(() => reader.next(), { instanceOf: ProtocolError, message: /3 fds/ });
  t.deepEqual(reader.takeFds(), [1, 2, 3, 4]);
});

test('a message that comes byte by byte costs linear time', (t) => {
  const reader = new FrameReader({ messageBytes: 1 << 20, maxFdsPerMessage: 0 });
  const started = process.hrtime.bigint();
  for (let index = 0; index < 1 << 19; index++) {
    reader.push(bytes('x'), []);
    if (reader.next() !== null) t.fail();
  }
  // Quadratic would be 10^11 byte steps: minutes.
  t.true(process.hrtime.bigint() - started < 10_000_000_000n);
  reader.push(bytes('\0'), []);
  t.is(reader.next()?.bytes.length, 1 << 19);
});

test('control characters in strings do not end a frame', (t) => {
  const encoded = encodeFrame({ text: 'a\0b' });
  t.is(encoded.indexOf(0), encoded.length - 1);
  t.deepEqual(JSON.parse(Buffer.from(encoded.subarray(0, -1)).toString()), { text: 'a\0b' });
});
