/** A file does not hold what its format promises: cut short, counts that can not be, fields out of range. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}
