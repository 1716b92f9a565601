/** struct perf_event_attr, include/uapi/linux/perf_event.h: sizes, byte offsets, and the word of flag bits. */
import type { EventFlagName } from '../event_fields.js';

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

/** Bit by bit: the flag of the model that it is, what it is otherwise, or (below) nothing that is known. */
export const FLAG_BITS: readonly (EventFlagName | 'disabled' | 'precise_ip' | { readonly unsupported: string })[] = [
  'disabled',
  'inherit',
  'pinned',
  'exclusive',
  'excludeUser',
  'excludeKernel',
  'excludeHv',
  'excludeIdle',
  'mmap',
  'comm',
  'freq',
  'inheritStat',
  'enableOnExec',
  'task',
  'watermark',
  'precise_ip',
  'precise_ip',
  'mmapData',
  'sampleIdAll',
  'excludeHost',
  'excludeGuest',
  'excludeCallchainKernel',
  'excludeCallchainUser',
  'mmap2',
  'commExec',
  'useClockid',
  'contextSwitch',
  'writeBackward',
  'namespaces',
  'ksymbol',
  'bpfEvent',
  { unsupported: 'aux_output' },
  'cgroup',
  'textPoke',
  'buildId',
  'inheritThread',
  'removeOnExec',
  { unsupported: 'sigtrap' },
  { unsupported: 'defer_callchain' }, // Linux 6.19
  { unsupported: 'defer_output' }, // Linux 6.19
];

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
