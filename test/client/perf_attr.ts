import { native, type Fd } from '#dist/native.js';

/** A struct perf_event_attr of PERF_ATTR_SIZE_VER0 for the software event task-clock in user mode, disabled. */
export function taskClockAttr(): Uint8Array {
  const attr = new DataView(new ArrayBuffer(64));
  attr.setUint32(0, 1, true); // PERF_TYPE_SOFTWARE
  attr.setUint32(4, 64, true);
  attr.setBigUint64(8, 1n, true); // PERF_COUNT_SW_TASK_CLOCK
  attr.setBigUint64(40, 0b110_0001n, true); // disabled, exclude_kernel, exclude_hv
  return new Uint8Array(attr.buffer);
}

/** task-clock of this process, as the broker would hand it over. */
export function openTaskClock(): Fd {
  return native.perfEventOpen(taskClockAttr(), 0, -1, -1, 8); // PERF_FLAG_FD_CLOEXEC
}
