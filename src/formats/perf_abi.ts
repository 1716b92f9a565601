/**
 * Constants of perf.data files, from include/uapi/linux/perf_event.h and
 * tools/perf/Documentation/perf.data-file-format.txt.
 */

/** PERF_RECORD_*; those from 64 on are defined by perf (tools/lib/perf/include/perf/event.h). */
export const RecordType = {
  MMAP: 1,
  LOST: 2,
  COMM: 3,
  EXIT: 4,
  THROTTLE: 5,
  UNTHROTTLE: 6,
  FORK: 7,
  SAMPLE: 9,
  MMAP2: 10,
  LOST_SAMPLES: 13,
  FINISHED_ROUND: 68,
  AUXTRACE: 71,
  COMPRESSED: 81,
  COMPRESSED2: 83,
} as const;

/** PERF_RECORD_MISC_* */
export const RecordMisc = {
  CPUMODE_MASK: 7,
  KERNEL: 1,
  USER: 2,
  COMM_EXEC: 0x2000,
  MMAP_BUILD_ID: 0x4000,
} as const;

/** PERF_SAMPLE_*, as bit masks. */
export const SampleBit = {
  IP: 0x1n,
  TID: 0x2n,
  TIME: 0x4n,
  ADDR: 0x8n,
  READ: 0x10n,
  CALLCHAIN: 0x20n,
  ID: 0x40n,
  CPU: 0x80n,
  PERIOD: 0x100n,
  STREAM_ID: 0x200n,
  RAW: 0x400n,
  BRANCH_STACK: 0x800n,
  REGS_USER: 0x1000n,
  STACK_USER: 0x2000n,
  IDENTIFIER: 0x10000n,
} as const;

/** PERF_FORMAT_*, as bit masks. */
export const ReadBit = {
  TOTAL_TIME_ENABLED: 0x1n,
  TOTAL_TIME_RUNNING: 0x2n,
  ID: 0x4n,
  GROUP: 0x8n,
  LOST: 0x10n,
} as const;

/** PERF_SAMPLE_BRANCH_HW_INDEX: the branch stack starts with one more word. */
export const BRANCH_HW_INDEX = 0x20000n;

/** PERF_CONTEXT_MAX, -4095: entries of a call chain from here on are PERF_CONTEXT_* marks, not addresses. */
export const CONTEXT_MAX = 0xffff_ffff_ffff_f001n;
/** PERF_CONTEXT_KERNEL, -128: kernel addresses follow. */
export const CONTEXT_KERNEL = 0xffff_ffff_ffff_ff80n;
/** PERF_CONTEXT_USER, -512. */
export const CONTEXT_USER = 0xffff_ffff_ffff_fe00n;

/** HEADER_*: bits of the feature map, which also define the order of the feature sections. */
export const Feature = {
  TRACING_DATA: 1,
  HOSTNAME: 3,
  OSRELEASE: 4,
  VERSION: 5,
  ARCH: 6,
  NRCPUS: 7,
  CMDLINE: 11,
  EVENT_DESC: 12,
  GROUP_DESC: 17,
  SAMPLE_TIME: 21,
} as const;

/** "PERFILE2" read as a little-endian number. */
export const MAGIC = 0x32454c4946524550n;
/** Bytes of struct perf_file_header. */
export const FILE_HEADER_BYTES = 104;
/** Bytes of struct perf_file_section. */
export const SECTION_BYTES = 16;
/** Strings of feature sections are padded to this (NAME_ALIGN). */
export const NAME_ALIGN = 64;
/** Bytes of struct perf_event_header, the smallest record. */
export const RECORD_HEADER_BYTES = 8;
