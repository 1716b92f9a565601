import test from 'ava';
import { resizeAttr, sampleIdBytes, viewAttr } from '#dist/formats/attr_view.js';
import { FormatError } from '#dist/formats/format_error.js';
import { attrsOf } from './write_recording.js';

test('the fields that lay out records are read from an attr', (t) => {
  const [attr = new Uint8Array()] = attrsOf('page-faults:u');
  t.like(viewAttr(attr), { type: 1, config: 2n, sampleIdAll: true });
});

test('an attr of an older kernel has zeros for what it does not have', (t) => {
  t.like(viewAttr(new Uint8Array(64).fill(0xff)), { regsUser: 0n, branchSampleType: 0n, sampleIdAll: true });
});

test('an attr that is shorter or far longer than that of any kernel is rejected', (t) => {
  for (const bytes of [0, 63, 4097]) t.throws(() => viewAttr(new Uint8Array(bytes)), { instanceOf: FormatError });
});

test('an attr in a struct of another size carries that size', (t) => {
  const [attr = new Uint8Array()] = attrsOf('page-faults:u');
  for (const size of [64, 200]) {
    const resized = resizeAttr(attr, size);
    t.is(resized.length, size);
    t.is(Buffer.from(resized).readUInt32LE(4), size);
    t.is(viewAttr(resized).config, 2n);
  }
});

test('the trailer has eight bytes for each part that samples carry', (t) => {
  t.is(sampleIdBytes(0n), 0);
  t.is(sampleIdBytes(0x1n), 0, 'the instruction pointer is no part of it');
  t.is(sampleIdBytes(0x2n | 0x4n | 0x80n | 0x10000n), 32);
});
