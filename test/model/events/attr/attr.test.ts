import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { decodeAttr, encodeAttr } from '#dist/model/events/attr/attr.js';
import { flagFields } from '#dist/model/event_flags.js';
import { ATTR_SIZES, AUX_ACTIONS, FLAG_BITS, OFFSET, UNSUPPORTED_FIELDS } from '#dist/model/events/attr/attr_layout.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { BRANCH_FILTERS, READ_FORMATS, SAMPLE_FIELDS } from '#dist/model/event.js';
import { bareEvent } from '#dist/model/events/event_defaults.js';
import { compileTools } from '../../../tools/compile.js';
import { eventSpec, resolvedSource } from '../../event_arbitrary.js';

const CPU_CLOCK = bareEvent({ kind: 'software', name: 'cpu-clock' });

/** The bytes of cpu-clock, `size` long, changed by `edit`. */
function attr(edit: (view: DataView) => void = () => undefined, size = 144): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(encodeAttr(CPU_CLOCK).subarray(0, size));
  const view = new DataView(bytes.buffer);
  view.setUint32(OFFSET.size, size, true);
  edit(view);
  return bytes;
}

function refusal(bytes: Uint8Array): BrokerError | undefined {
  try {
    decodeAttr(bytes);
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  return undefined;
}

const refuses = test.macro({
  title: (_, _edit: (view: DataView) => void, code: string, message: string) =>
    `the attr is refused: ${code}, ${message}`,
  exec: (t, edit: (view: DataView) => void, code: string, message: string) => {
    const error = refusal(attr(edit));
    t.is(error?.error, 'InvalidEvent');
    t.is(error?.code, code);
    t.is(error?.message, message);
  },
});

const setFlag = (bit: number) => (view: DataView) => view.setBigUint64(OFFSET.flags, 1n << BigInt(bit), true);

test('an encoded event is decoded to the same event', (t) => {
  fc.assert(
    fc.property(eventSpec(resolvedSource), (spec) => {
      t.deepEqual(decodeAttr(encodeAttr(spec)), spec);
    }),
    { numRuns: 500 },
  );
});

test('any bytes are either refused with a BrokerError or encoded to the same bytes again', (t) => {
  const sparse = fc
    .tuple(fc.constantFrom(...ATTR_SIZES), fc.array(fc.tuple(fc.nat(143), fc.nat(7)), { maxLength: 8 }), fc.nat(6))
    .map(([size, bits, type]) => {
      const bytes = new Uint8Array(size);
      for (const [at, bit] of bits) if (at < size && (at < 4 || at >= 8)) bytes[at] = (bytes[at] ?? 0) | (1 << bit);
      const view = new DataView(bytes.buffer);
      view.setUint32(OFFSET.type, type, true);
      view.setUint32(OFFSET.size, size, true);
      return bytes;
    });
  let decoded = 0;
  fc.assert(
    fc.property(sparse, (bytes) => {
      if (refusal(bytes) !== undefined) return;
      decoded++;
      const again = Buffer.from(encodeAttr(decodeAttr(bytes)));
      const expected = Buffer.alloc(Math.max(bytes.length, again.length));
      expected.set(bytes);
      expected.writeUInt32LE(again.readUInt32LE(OFFSET.size), OFFSET.size);
      expected[OFFSET.flags] = (expected[OFFSET.flags] ?? 0) & ~1; // disabled
      const padded = Buffer.alloc(expected.length);
      padded.set(again);
      t.deepEqual(padded, expected);
    }),
    { numRuns: 3000 },
  );
  t.true(decoded > 100, `only ${decoded} of the generated attrs were valid`);
});

for (const size of ATTR_SIZES) {
  test(`an attr of the published size ${size} is decoded`, (t) => {
    t.deepEqual(decodeAttr(attr(undefined, size)), CPU_CLOCK);
  });
}

test('a size of 0 means the first published size, as in the kernel', (t) => {
  t.deepEqual(decodeAttr(attr((view) => view.setUint32(OFFSET.size, 0, true), 64)), CPU_CLOCK);
  t.is(refusal(attr((view) => view.setUint32(OFFSET.size, 0, true), 72))?.code, 'attr-size');
});

test('a struct newer than this one is decoded as long as its further bytes are zero', (t) => {
  t.deepEqual(decodeAttr(attr(undefined, 168)), CPU_CLOCK);
  const error = refusal(attr((view) => view.setUint8(160, 1), 168));
  t.is(error?.code, 'unknown-bit');
  t.is(error?.message, 'bytes beyond 144 are not zero');
});

for (const size of [0, 1, 8, 63, 65, 100, 143, 145, 4097, 8192]) {
  test(`an attr of ${size} bytes is refused`, (t) => {
    t.is(refusal(size < 8 ? new Uint8Array(size) : attr(undefined, size))?.code, 'attr-size');
  });
}

test('a size field that differs from the length is refused, in either direction', (t) => {
  for (const claimed of [63, 64, 120, 136, 4096, 0xffff_ffff])
    t.is(refusal(attr((view) => view.setUint32(OFFSET.size, claimed, true), 128))?.code, 'attr-size', `${claimed}`);
});

test('bytes in the middle of a larger buffer are read where they are', (t) => {
  const buffer = new Uint8Array(300).fill(0xff);
  buffer.set(attr(undefined, 128), 33);
  t.deepEqual(decodeAttr(buffer.subarray(33, 33 + 128)), CPU_CLOCK);
});

test('disabled is accepted and dropped, and encoded on request only', (t) => {
  t.deepEqual(decodeAttr(attr(setFlag(0))), CPU_CLOCK);
  t.is((encodeAttr(CPU_CLOCK)[OFFSET.flags] ?? 0) & 1, 0);
  t.is((encodeAttr(CPU_CLOCK, {}, { disabled: true })[OFFSET.flags] ?? 0) & 1, 1);
});

for (let bit = 0; bit < 64; bit++) {
  const flag = FLAG_BITS[bit];
  if (flag === undefined) test(refuses, setFlag(bit), 'unknown-bit', `flag bit ${bit} is unknown`);
  else if (typeof flag === 'object') test(refuses, setFlag(bit), 'unsupported', `${flag.unsupported} is not supported`);
}
for (const [field, offset, table] of [
  ['sample_type', OFFSET.sampleType, SAMPLE_FIELDS],
  ['read_format', OFFSET.readFormat, READ_FORMATS],
  ['branch_sample_type', OFFSET.branchSampleType, BRANCH_FILTERS],
] as const) {
  for (let bit = table.length; bit < 64; bit++)
    test(
      refuses,
      (view) => view.setBigUint64(offset, 1n << BigInt(bit), true),
      'unknown-bit',
      `${field} bit ${bit} is unknown`,
    );
}
for (const { name, offset, bytes } of UNSUPPORTED_FIELDS) {
  for (let at = offset; at < offset + bytes; at++) {
    test(`${name}, byte ${at}, is refused by name`, (t) => {
      t.is(refusal(attr((view) => view.setUint8(at, 0x80)))?.message, `${name} is not supported`);
    });
  }
}
for (let bit = 0; bit < 32; bit++) {
  const name = AUX_ACTIONS[bit];
  const edit = (view: DataView): void => view.setUint32(OFFSET.auxAction, 2 ** bit, true);
  if (name === undefined) test(refuses, edit, 'unknown-bit', `aux_action bit ${bit} is unknown`);
  else test(refuses, edit, 'unsupported', `${name} is not supported`);
}

const setType = (type: number, config: bigint) => (view: DataView) => {
  view.setUint32(OFFSET.type, type, true);
  view.setBigUint64(OFFSET.config, config, true);
};
test(refuses, setType(1, 12n), 'unknown-name', 'software event 12 is unknown');
test(refuses, setType(1, 1n << 40n), 'unknown-name', 'software event 1099511627776 is unknown');
test(refuses, setType(0, 10n), 'unknown-name', 'hardware event 10 is unknown');
test(refuses, setType(3, 7n), 'unknown-name', 'cache 7 is unknown');
test(refuses, setType(3, 0x300n), 'unknown-name', 'cache operation 3 is unknown');
test(refuses, setType(3, 0x20000n), 'unknown-name', 'cache result 2 is unknown');
test(refuses, setType(3, 0x1000000n), 'unknown-bit', 'config bits 24 to 31 of a cache event are unknown');
test(refuses, setType(2, 0n), 'bad-value', 'tracepoint id 0 is not 1 to 2^32-1');
test(refuses, setType(5, 1n), 'conflict', 'config is set, which a breakpoint does not use');
test(refuses, setType(5, 0n), 'unknown-name', 'bp_type 0 is not supported');
test(
  refuses,
  (view) => view.setBigUint64(OFFSET.config1, 1n, true),
  'conflict',
  'config1 is set, which a software event does not use',
);
test(
  refuses,
  (view) => view.setUint32(OFFSET.bpType, 1, true),
  'conflict',
  'bp_type is set, but type 1 is not a breakpoint',
);
test(refuses, setFlag(10), 'conflict', 'freq is set without sample_freq');
test(
  refuses,
  (view) => view.setBigUint64(OFFSET.samplePeriod, 1n << 63n, true),
  'bad-value',
  'period 9223372036854775808 is not 1 to 2^63-1',
);
test(refuses, (view) => view.setInt32(OFFSET.clockid, 1, true), 'conflict', 'clockid 1 is set without use_clockid');
test(
  refuses,
  (view) => {
    setFlag(25)(view);
    view.setInt32(OFFSET.clockid, 2, true);
  },
  'unknown-name',
  'clockid 2 is not supported',
);
test(
  refuses,
  (view) => view.setUint32(OFFSET.sampleStackUser, 12, true),
  'bad-value',
  'stackUser 12 is not a multiple of 8 up to 65528',
);
test(
  refuses,
  (view) => view.setUint32(OFFSET.sampleStackUser, 65536, true),
  'bad-value',
  'stackUser 65536 is not a multiple of 8 up to 65528',
);
test(refuses, setFlag(35), 'conflict', 'inheritThread needs inherit');

test('the layout matches linux/perf_event.h as the C compiler lays it out', (t) => {
  const tools = compileTools('attr_sample');
  t.teardown(tools.remove);
  const bytes = Buffer.from(execFileSync(tools.path('attr_sample'), { encoding: 'latin1' }).trim(), 'hex');
  const spec = decodeAttr(bytes);
  t.deepEqual(spec, {
    source: { kind: 'pmu', pmu: 8, config: 0x1122334455667788n, config1: 0x21n, config2: 0x22n },
    exclude: ['kernel', 'guest', 'callchain_user'],
    sampling: { frequency: 4242 },
    sampleType: ['ip', 'callchain', 'branch_stack', 'code_page_size'],
    readFormat: ['id', 'group'],
    records: ['mmap', 'mmap2', 'build_id', 'comm_exec', 'context_switch', 'cgroup'],
    ...flagFields((field) =>
      ['sampleIdAll', 'inherit', 'inheritThread', 'pinned', 'removeOnExec', 'writeBackward'].includes(field),
    ),
    preciseIp: 2,
    wakeup: { bytes: 65536 },
    clock: 'tai',
    branch: ['user', 'any_call', 'priv_save'],
    regsUser: 0xff0fffn,
    regsIntr: 0x77n,
    stackUser: 8192,
    maxStack: 77,
  });
  t.deepEqual(Buffer.from(encodeAttr(spec, {}, { disabled: true })), bytes);
});

test('a decoded event is frozen through and through', (t) => {
  const spec = decodeAttr(attr());
  t.true(Object.isFrozen(spec) && Object.isFrozen(spec.source) && Object.isFrozen(spec.sampleType));
});
