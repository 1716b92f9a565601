/** Bytes of a page. The broker requires x86-64, or aarch64 with pages of this size. */
export const PAGE_BYTES = 4096;
