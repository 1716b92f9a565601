import { PAGE_BYTES } from '../../common/page.js';
import { readFileSync } from 'node:fs';
import { ByteWriter } from '../../formats/byte_writer.js';

/** Description of a tracepoint in a perf.data file. */
export interface TracepointFormat {
  readonly system: string;
  readonly name: string;
  readonly id: number;
  /** The text of tracefs's `format` file. */
  readonly format: string;
}

const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
/** Layout of the kernel's ring pages (tracefs events/header_page). perf does not use it, but requires it. */
const HEADER_PAGE = `\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
`;

/**
 * Format of a tracepoint. Users usually cannot read tracefs: a substitute format then has only the common fields, and the
 * number `substituteId`. perf rejects files with tracepoints that have no format. With the substitute it shows when and
 * where they were hit, without their arguments.
 * @param name `system:event`
 */
export function tracepointFormat(
  name: string,
  substituteId: number,
  roots: readonly string[] = TRACEFS,
): TracepointFormat {
  const [system = '', event = ''] = name.split(':');
  for (const root of roots) {
    if (system.includes('/') || event.includes('/')) break;
    try {
      const format = readFileSync(`${root}/events/${system}/${event}/format`, 'utf8');
      const id = Number(/^ID: (\d+)$/m.exec(format)?.[1]);
      if (Number.isSafeInteger(id)) return { system, name: event, id, format };
    } catch {
      // It does not exist there, or may not be read.
    }
  }
  return { system, name: event, id: substituteId, format: commonFormat(event, substituteId) };
}

/** libtraceevent requires at least one field besides the common ones. */
function commonFormat(name: string, id: number): string {
  const fields: readonly [string, number, number, number][] = [
    ['unsigned short common_type', 0, 2, 0],
    ['unsigned char common_flags', 2, 1, 0],
    ['unsigned char common_preempt_count', 3, 1, 0],
    ['int common_pid', 4, 4, 1],
  ];
  const lines = fields.map(
    ([text, at, size, sign]) => `\tfield:${text};\toffset:${at};\tsize:${size};\tsigned:${sign};`,
  );
  return `name: ${name}\nID: ${id}\nformat:\n${lines.join('\n')}\n\n\tfield:char unknown;\toffset:8;\tsize:1;\tsigned:0;\n\nprint fmt: ""\n`;
}

/** The HEADER_TRACING_DATA section: the header of trace-cmd's file format, version 0.6 (trace-cmd.dat.v6(5)). */
export function encodeTracingData(formats: readonly TracepointFormat[]): Uint8Array {
  const writer = new ByteWriter(4096);
  writer.raw(Buffer.from('\x17\x08\x44tracing0.6\0', 'latin1'));
  writer.raw(Uint8Array.of(0, 8)).u32(PAGE_BYTES); // little-endian, bytes of a long
  writer.text('header_page', 1).u64(HEADER_PAGE.length).raw(Buffer.from(HEADER_PAGE));
  writer.text('header_event', 1).u64(0).u32(0);
  const systems = new Map<string, Map<string, TracepointFormat>>();
  for (const each of formats) {
    const events = systems.get(each.system) ?? new Map<string, TracepointFormat>();
    systems.set(each.system, events.set(each.name, each));
  }
  writer.u32(systems.size);
  for (const [system, events] of systems) {
    writer.text(system, 1).u32(events.size);
    for (const { format } of events.values()) writer.u64(Buffer.byteLength(format)).raw(Buffer.from(format));
  }
  return writer.u32(0).u32(0).u64(0).bytes; // no kallsyms, no printk formats, no command lines
}
