import { sampleIdBytes, viewAttr } from '#dist/formats/attr_view.js';
import { Synthesizer } from '#dist/collector/record/synthesize.js';
import { OutputFile } from '#dist/formats/output_file.js';
import { ByteWriter } from '#dist/formats/byte_writer.js';
import { PerfDataWriter } from '#dist/formats/perfdata_writer.js';
import type { RecordingInfo } from '#dist/formats/perfdata_features.js';
import { encodeAttr } from '#dist/model/events/attr/attr.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { withSampling } from '#dist/model/events/event_defaults.js';

export const INFO: RecordingInfo = {
  hostname: 'host.example',
  osRelease: '6.1.0',
  version: 'test',
  arch: 'x86_64',
  cpusOnline: 2,
  cpusAvailable: 4,
  commandLine: ['perfbroker', 'record', 'a b'],
};

/** Creates a file that keeps its name. @returns its fd, which the caller closes */
export function createFile(path: string): number {
  using file = OutputFile.create(path);
  file.place();
  return file.takeFd();
}

/** Attrs as `record -g` makes them. */
export function attrsOf(events: string): readonly Uint8Array[] {
  const specs = withSampling(parseEvents(events), { sampling: { frequency: 99 }, callchain: true });
  return specs.map((spec) => encodeAttr(spec, { tracepointId: 300 }));
}

/** A sample of process 100, thread 101, at 5,000 ns on cpu 1. */
export function sampleRecord(id: bigint, ip: bigint, chain: readonly bigint[]): Uint8Array {
  const writer = new ByteWriter().u32(9).u16(2).u16(0);
  writer.u64(id).u64(ip).u32(100).u32(101).u64(5000).u32(1).u32(0).u64(77).u64(chain.length);
  for (const word of chain) writer.u64(word);
  writer.patchU16(6, writer.length);
  return Uint8Array.from(writer.bytes);
}

/**
 * Writes a file with two events and a sample of each: one with two user frames, one with one.
 * @param before called before the samples are written
 */
export function writeRecording(
  path: string,
  {
    finish = true,
    events: [firstName, secondName] = ['cpu-clock:u', 'page-faults:u'],
    before,
  }: {
    readonly events?: readonly [string, string];
    readonly finish?: boolean;
    readonly before?: (writer: PerfDataWriter, attr: Uint8Array) => void;
  } = {},
): string {
  const [first = new Uint8Array(128), second = new Uint8Array(128)] = attrsOf('cpu-clock:u,page-faults:u');
  using writer = new PerfDataWriter(createFile(path), [
    { name: firstName, attr: first, ids: [11n, 12n] },
    { name: secondName, attr: second, ids: [21n, 22n] },
  ]);
  before?.(writer, first);
  writer.write(sampleRecord(12n, 0x1000n, [0xfffffffffffffe00n, 0x1000n, 0x2000n]));
  writer.write(sampleRecord(21n, 0x3000n, [0xfffffffffffffe00n, 0x3000n]));
  if (finish) writer.finish(INFO, true);
  return path;
}

/** {@link writeRecording} with a synthesized process, which is this one. */
export function writeProcessRecording(path: string, finish = true): string {
  return writeRecording(path, {
    finish,
    before: (writer, attr) => {
      const trailer = sampleIdBytes(viewAttr(attr).sampleType);
      new Synthesizer(trailer, (records) => writer.write(records)).process({
        pid: process.pid,
        recorded: { pid: 100, tids: [] },
      });
    },
  });
}
