/** Tables whose index is a bit number, and the masks that they stand for. */

/** @returns the mask of `names`, bit n standing for `table[n]` */
export function maskOf<Name extends string>(names: readonly Name[], table: readonly Name[]): bigint {
  let mask = 0n;
  for (const name of names) mask |= 1n << BigInt(table.indexOf(name));
  return mask;
}

/**
 * @param onUnknown called with the lowest bit that the table does not name; must not return
 * @returns the names of the bits of `mask`, lowest first
 */
export function namesOf<Name extends string>(
  mask: bigint,
  table: readonly Name[],
  onUnknown: (bit: number) => never,
): readonly Name[] {
  const unknown = mask >> BigInt(table.length);
  if (unknown !== 0n) onUnknown(table.length + lowestBit(unknown));
  return table.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

function lowestBit(mask: bigint): number {
  let bit = 0;
  while (((mask >> BigInt(bit)) & 1n) === 0n) bit++;
  return bit;
}
