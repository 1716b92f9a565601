import test from 'ava';
import { viewAttr, type AttrView } from '#dist/formats/attr_view.js';
import { ByteWriter } from '#dist/formats/byte_writer.js';
import { FormatError } from '#dist/formats/format_error.js';
import { decodeRecord, identifierOf, type PerfRecord } from '#dist/formats/perf_record.js';

/** perf_event_attr with sample_type, read_format and regs_user. */
function attrOf(sampleType: bigint, { readFormat = 0n, regsUser = 0n, sampleIdAll = false } = {}): AttrView {
  const bytes = Buffer.alloc(128);
  bytes.writeBigUInt64LE(sampleType, 24);
  bytes.writeBigUInt64LE(readFormat, 32);
  bytes.writeBigUInt64LE(sampleIdAll ? 1n << 18n : 0n, 40);
  bytes.writeBigUInt64LE(regsUser, 80);
  return viewAttr(bytes);
}

function decode(type: number, writer: ByteWriter, attr: AttrView = attrOf(0n), misc = 0): PerfRecord {
  return decodeRecord({ type, misc, body: writer.bytes }, attr);
}

test('a sample has its fields in the order of the kernel', (t) => {
  const type = 0x1n | 0x2n | 0x4n | 0x8n | 0x20n | 0x40n | 0x80n | 0x100n | 0x200n | 0x10000n;
  const body = new ByteWriter().u64(1).u64(2).u32(3).u32(4).u64(5).u64(6).u64(7).u64(8).u32(9).u32(0).u64(10);
  body.u64(2).u64(11).u64(12);
  t.like(decode(9, body, attrOf(type), 2), {
    kind: 'sample',
    cpuMode: 2,
    ip: 2n,
    pid: 3,
    tid: 4,
    time: 5n,
    address: 6n,
    id: 7n,
    cpu: 9,
    period: 10n,
    callchain: [11n, 12n],
  });
});

test('values that were read with a sample are skipped, alone and as a group', (t) => {
  const type = 0x10n | 0x20n;
  const alone = new ByteWriter().u64(1).u64(2).u64(3).u64(4).u64(5).u64(1).u64(99);
  t.like(decode(9, alone, attrOf(type, { readFormat: 0x1n | 0x2n | 0x4n | 0x10n })), { callchain: [99n] });
  const group = new ByteWriter().u64(2).u64(1).u64(2).u64(3).u64(4).u64(1).u64(99);
  t.like(decode(9, group, attrOf(type, { readFormat: 0x4n | 0x8n })), { callchain: [99n] });
});

test('raw data, registers and a stack are those that were sampled', (t) => {
  const type = 0x400n | 0x1000n | 0x2000n;
  const body = new ByteWriter()
    .u32(4)
    .raw(Buffer.from('raw!'))
    .u64(2)
    .u64(7)
    .u64(8)
    .u64(8)
    .raw(Buffer.from('stack...'));
  const sample = decode(9, body.u64(5), attrOf(type, { regsUser: 0b101n }));
  t.like(sample, { regsUser: [7n, 8n] });
  t.true(sample.kind === 'sample');
  if (sample.kind !== 'sample') return;
  t.is(Buffer.from(sample.raw ?? []).toString(), 'raw!');
  t.is(Buffer.from(sample.stackUser ?? []).toString(), 'stack');
});

test('a count that goes beyond the record is refused before memory is taken for it', (t) => {
  const body = new ByteWriter().u64(1n << 40n);
  t.throws(() => decode(9, body, attrOf(0x20n)), { instanceOf: FormatError, message: /1099511627776 words/ });
});

test('mappings, names and tasks are decoded', (t) => {
  const mmap2 = new ByteWriter().u32(1).u32(2).u64(0x1000).u64(0x2000).u64(3).u32(8).u32(1).u64(77).u64(0);
  mmap2.u32(5).u32(2).text('/bin/x', 8);
  t.like(decode(10, mmap2), {
    kind: 'mmap',
    pid: 1,
    start: 0x1000n,
    length: 0x2000n,
    pageOffset: 3n,
    inode: 77n,
    protection: 5,
    path: '/bin/x',
  });
  const identified = new ByteWriter()
    .u32(1)
    .u32(2)
    .u64(0)
    .u64(0)
    .u64(0)
    .raw(Uint8Array.of(2, 0, 0, 0, 0xab, 0xcd));
  t.like(decode(10, identified.zeros(18).u32(5).u32(2).text('/bin/x', 8), attrOf(0n), 0x4000), { buildId: 'abcd' });
  t.like(decode(3, new ByteWriter().u32(1).u32(2).text('name', 8), attrOf(0n), 0x2000), { comm: 'name', exec: true });
  const task = new ByteWriter().u32(1).u32(2).u32(3).u32(4).u64(5);
  t.like(decode(7, task), { kind: 'fork', pid: 1, parentPid: 2, tid: 3, parentTid: 4, time: 5n });
  t.like(decode(4, task), { kind: 'exit', pid: 1 });
  t.like(decode(2, new ByteWriter().u64(0).u64(9)), { kind: 'lost', lost: 9n });
  t.like(decode(13, new ByteWriter().u64(9)), { kind: 'lost', lost: 9n });
  t.is(decode(5, new ByteWriter()).kind, 'throttle');
  t.is(decode(99, new ByteWriter()).kind, 'other');
});

test('records other than samples end with an id, which is split off', (t) => {
  const attr = attrOf(0x2n | 0x4n | 0x10000n, { sampleIdAll: true });
  const body = new ByteWriter().u64(0).u64(9).u32(1).u32(2).u64(3).u64(42);
  t.like(decode(2, body, attr), { lost: 9n, pid: 1, tid: 2, time: 3n, id: 42n });
  t.throws(() => decode(2, new ByteWriter().u64(0), attr), { instanceOf: FormatError, message: /too short/ });
});

test('the id of an undecoded record comes first in samples and last in others', (t) => {
  const body = new ByteWriter().u64(1).u64(2).bytes;
  t.is(identifierOf({ type: 9, misc: 0, body }), 1n);
  t.is(identifierOf({ type: 3, misc: 0, body }), 2n);
  t.is(identifierOf({ type: 68, misc: 0, body }), undefined);
  t.is(identifierOf({ type: 9, misc: 0, body: new Uint8Array(4) }), undefined);
});
