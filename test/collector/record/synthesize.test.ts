import test from 'ava';
import { Synthesizer } from '#dist/collector/record/synthesize.js';
import { viewAttr } from '#dist/formats/attr_view.js';
import { decodeRecord, type PerfRecord } from '#dist/formats/perf_record.js';

/** Attr without sample_id_all: records end with their own fields. */
const ATTR = viewAttr(new Uint8Array(128));

function decode(bytes: Uint8Array): PerfRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: PerfRecord[] = [];
  for (let at = 0; at < bytes.length; at += view.getUint16(at + 6, true)) {
    const body = bytes.slice(at + 8, at + view.getUint16(at + 6, true));
    records.push(decodeRecord({ type: view.getUint32(at, true), misc: view.getUint16(at + 4, true), body }, ATTR));
  }
  return records;
}

function synthesize(write: (synthesizer: Synthesizer) => void): PerfRecord[] {
  const records: PerfRecord[] = [];
  write(new Synthesizer(0, (bytes) => records.push(...decode(bytes))));
  return records;
}

test('a process has the name of each thread and its executable mappings', (t) => {
  const records = synthesize((synthesizer) => t.true(synthesizer.process({ pid: process.pid })));
  const names = records.flatMap((record) => (record.kind === 'comm' ? [record] : []));
  t.true(names.some(({ pid, tid, exec }) => pid === process.pid && tid === process.pid && !exec));
  const maps = records.flatMap((record) => (record.kind === 'mmap' ? [record] : []));
  t.true(maps.some(({ path, cpuMode }) => path === process.execPath && cpuMode === 2));
  t.true(maps.every(({ pid, protection = 0 }) => pid === process.pid && (protection & 4) === 4));
});

test('a process of another pid namespace has the numbers of the samples', (t) => {
  const records = synthesize((synthesizer) =>
    synthesizer.process({ pid: process.pid, recorded: { pid: 100, tids: [] } }),
  );
  t.true(records.length > 0);
  t.true(records.every((record) => record.kind === 'mmap' && record.pid === 100));
});

test('a process that is gone has no records', (t) => {
  t.deepEqual(
    synthesize((synthesizer) => t.false(synthesizer.process({ pid: 4_194_304 }))),
    [],
  );
});

test('the text of the kernel and lost records are described', (t) => {
  const [text, lost] = synthesize((synthesizer) => {
    synthesizer.kernel(0xffff_ffff_8100_0000n);
    synthesizer.lost(5n);
  });
  t.like(text, { kind: 'mmap', cpuMode: 1, pid: -1, start: 0xffff_ffff_8100_0000n, path: '[kernel.kallsyms]_text' });
  t.like(lost, { kind: 'lost', lost: 5n });
});

test('a trailer ends each record where samples have an id', (t) => {
  let bytes = new Uint8Array();
  new Synthesizer(24, (records) => (bytes = Uint8Array.from(records))).lost(1n);
  t.is(bytes.length, 8 + 16 + 24);
  t.is(new DataView(bytes.buffer).getUint16(6, true), bytes.length);
});
