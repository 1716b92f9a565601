import { nearest } from '../../common/nearest.js';

/** `did you mean "users"? ` or nothing, to go before the list of what is allowed. */
export function suggestion(name: string, known: readonly string[]): string {
  const guess = nearest(name, known);
  return guess === undefined ? '' : `Did you mean "${guess}"? `;
}
