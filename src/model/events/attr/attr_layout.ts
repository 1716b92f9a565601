/** struct perf_event_attr, include/uapi/linux/perf_event.h: sizes, byte offsets, and the word of flag bits. */
import { EVENT_FLAGS, type EventFlagName } from '../../event_flags.js';

/** PERF_ATTR_SIZE_VER0 to VER9. Linux 6.3 added config3 (VER8), Linux 6.19 config4 (VER9). */
export const ATTR_SIZES = [64, 72, 80, 96, 104, 112, 120, 128, 136, 144] as const;
export const ATTR_SIZE_VER0 = 64;
export const ATTR_SIZE_VER7 = 128;
export const ATTR_SIZE_VER8 = 136;
export const ATTR_SIZE_LATEST = 144;

export const OFFSET = {
  type: 0,
  size: 4,
  config: 8,
  samplePeriod: 16,
  sampleType: 24,
  readFormat: 32,
  flags: 40,
  wakeup: 48,
  bpType: 52,
  config1: 56,
  config2: 64,
  branchSampleType: 72,
  sampleRegsUser: 80,
  sampleStackUser: 88,
  clockid: 92,
  sampleRegsIntr: 96,
  auxWatermark: 104,
  sampleMaxStack: 108,
  reserved2: 110,
  auxSampleSize: 112,
  auxAction: 116,
  sigData: 120,
  config3: 128,
  config4: 136,
} as const;

/** precise_ip takes two bits of the flag word. */
export const PRECISE_IP_BIT = 15;

type AttrFlag = EventFlagName | 'disabled' | 'precise_ip' | { readonly unsupported: string };

/** Bits that are not flags of the model. */
const OTHER_BITS: readonly (readonly [bit: number, meaning: AttrFlag])[] = [
  [0, 'disabled'],
  [PRECISE_IP_BIT, 'precise_ip'],
  [PRECISE_IP_BIT + 1, 'precise_ip'],
  [31, { unsupported: 'aux_output' }],
  [37, { unsupported: 'sigtrap' }],
  [38, { unsupported: 'defer_callchain' }], // Linux 6.19
  [39, { unsupported: 'defer_output' }], // Linux 6.19
];

/** Meaning of each bit of the flag word; undefined for a bit that is not known here. */
export const FLAG_BITS: readonly (AttrFlag | undefined)[] = meanings();

function meanings(): readonly (AttrFlag | undefined)[] {
  const bits = new Map(OTHER_BITS);
  for (const { name, attrBit } of EVENT_FLAGS) {
    if (bits.has(attrBit)) throw new Error(`bit ${attrBit} is a flag of the model and has another meaning`);
    bits.set(attrBit, name);
  }
  return Array.from({ length: Math.max(...bits.keys()) + 1 }, (_, bit) => bits.get(bit));
}

/** Fields that must be zero: AUX areas, signals and what no source of the model uses. */
export const UNSUPPORTED_FIELDS: readonly { readonly name: string; readonly offset: number; readonly bytes: number }[] =
  [
    { name: 'aux_watermark', offset: OFFSET.auxWatermark, bytes: 4 },
    { name: '__reserved_2', offset: OFFSET.reserved2, bytes: 2 },
    { name: 'aux_sample_size', offset: OFFSET.auxSampleSize, bytes: 4 },
    { name: 'sig_data', offset: OFFSET.sigData, bytes: 8 },
    { name: 'config4', offset: OFFSET.config4, bytes: 8 },
  ];

/** Bits of the word at 116: aux_action of Linux 6.13, __reserved_3 before. */
export const AUX_ACTIONS = ['aux_start_paused', 'aux_pause', 'aux_resume'] as const;
