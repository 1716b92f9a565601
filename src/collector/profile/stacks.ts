import { CONTEXT_KERNEL, CONTEXT_MAX, CONTEXT_USER, RecordMisc } from '../../formats/perf_abi.js';
import type { SampleRecord } from '../../formats/perf_record.js';

/** An address of a stack. */
export interface StackAddress {
  readonly address: bigint;
  readonly kernel: boolean;
}

/**
 * Addresses of a sample, innermost first: its call chain, or its instruction pointer alone. Return addresses (all but the
 * innermost in kernel and in user mode) are moved back by one byte, into the call: the address after a call that never
 * returns may already belong to the next function.
 */
export function stackOf(sample: SampleRecord): readonly StackAddress[] {
  const inKernel = sample.cpuMode === RecordMisc.KERNEL;
  const stack: StackAddress[] = [];
  let kernel = inKernel;
  let innermost = true;
  for (const word of sample.callchain ?? []) {
    if (word >= CONTEXT_MAX) {
      if (word === CONTEXT_KERNEL || word === CONTEXT_USER) kernel = word === CONTEXT_KERNEL;
      innermost = true;
      continue;
    }
    stack.push({ address: innermost ? word : word - 1n, kernel });
    innermost = false;
  }
  if (stack.length === 0 && sample.ip !== undefined) stack.push({ address: sample.ip, kernel: inKernel });
  return stack;
}
