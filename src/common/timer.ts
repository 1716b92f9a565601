/** Longest timer of node's, milliseconds: 24 days and 20 hours. A longer one is over at once. */
export const MAX_TIMER_MS = 0x7fff_ffff;
