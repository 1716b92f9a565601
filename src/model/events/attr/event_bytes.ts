/** Bytes of EventFields (native/protocol/opener.h) in requests to opener and launcher. Host byte order. */
import { EVENT } from '../../../common/native_messages.js';
import type { EventFields } from '../event_fields.js';

/** Writes the struct at `at`. */
export function writeEventFields(view: DataView, at: number, event: EventFields): void {
  const layout = EVENT;
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
