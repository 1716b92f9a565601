/** `0x3c`, as event texts and JSON have 64-bit values. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
