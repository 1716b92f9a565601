/** Bytes of EventFields (native/protocol/opener.h) in requests to opener and launcher. Host byte order. */
import type { EventFields } from '../event_fields.js';

/** Byte offsets; the struct has no unnamed padding. */
export const EVENT_LAYOUT = {
  size: 112,
  type: 0,
  wakeup: 4,
  config: 8,
  config1: 16,
  config2: 24,
  config3: 32,
  sample_period: 40,
  sample_type: 48,
  read_format: 56,
  branch_sample_type: 64,
  sample_regs_user: 72,
  sample_regs_intr: 80,
  flags: 88,
  sample_stack_user: 96,
  bp_type: 100,
  clockid: 104,
  sample_max_stack: 108,
  precise_ip: 110,
} as const;

/** Writes the struct at `at`. */
export function writeEventFields(view: DataView, at: number, event: EventFields): void {
  const layout = EVENT_LAYOUT;
  view.setUint32(at + layout.type, event.type, true);
  view.setUint32(at + layout.wakeup, event.wakeup, true);
  view.setBigUint64(at + layout.config, event.config, true);
  view.setBigUint64(at + layout.config1, event.config1, true);
  view.setBigUint64(at + layout.config2, event.config2, true);
  view.setBigUint64(at + layout.config3, event.config3, true);
  view.setBigUint64(at + layout.sample_period, event.samplePeriod, true);
  view.setBigUint64(at + layout.sample_type, event.sampleType, true);
  view.setBigUint64(at + layout.read_format, event.readFormat, true);
  view.setBigUint64(at + layout.branch_sample_type, event.branchSampleType, true);
  view.setBigUint64(at + layout.sample_regs_user, event.sampleRegsUser, true);
  view.setBigUint64(at + layout.sample_regs_intr, event.sampleRegsIntr, true);
  view.setBigUint64(at + layout.flags, event.flags, true);
  view.setUint32(at + layout.sample_stack_user, event.sampleStackUser, true);
  view.setUint32(at + layout.bp_type, event.bpType, true);
  view.setInt32(at + layout.clockid, event.clockid, true);
  view.setUint16(at + layout.sample_max_stack, event.sampleMaxStack, true);
  view.setUint8(at + layout.precise_ip, event.preciseIp);
}
