/** A file violates its format: it is cut short, or a count or field is out of range. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}
