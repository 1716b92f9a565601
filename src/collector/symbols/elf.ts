import { readSync } from 'node:fs';
import { ByteReader, textOf } from '../../formats/byte_reader.js';
import { FormatError } from '../../formats/format_error.js';
import type { NamedRange } from './symbol_table.js';

/** Limits on sizes that a header may declare: 5.6 million symbols, and more text than the names of any browser. */
const MAX_SYMBOL_BYTES = 128 << 20;
const MAX_STRING_BYTES = 512 << 20;
/** Limit on the decoded names: they may overlap in the string table, so that its size does not limit them. */
const MAX_DECODED_BYTES = 512 << 20;
const MAX_HEADER_BYTES = 16 << 20;
const MAX_NOTE_BYTES = 64 << 10;
const MAX_NAME_BYTES = 4096;

const PT_LOAD = 1;
const PT_NOTE = 4;
const PF_X = 1;
const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const NT_GNU_BUILD_ID = 3;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;
const SYMBOL_BYTES = 24;

/** A loaded, executable segment of the file. */
export interface ElfSegment {
  readonly offset: bigint;
  readonly address: bigint;
  readonly fileBytes: bigint;
}

interface SectionHeader {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

/** The parts of a 64-bit little-endian ELF file (elf(5)) that name addresses. */
export interface ElfImage {
  /** Hexadecimal; absent when the file has none. */
  readonly buildId?: string;
  readonly segments: readonly ElfSegment[];
  /** Functions by virtual address: .symtab when it is there, else .dynsym. */
  readonly functions: readonly NamedRange[];
  /** False when the file has only .dynsym, so that a debug file has more names. */
  readonly complete: boolean;
}

/**
 * Reads an untrusted ELF file: every offset and count is checked against the file's size.
 * @param fd a regular file; stays open.
 * @param fileBytes its size.
 * @throws FormatError
 */
export function readElf(fd: number, fileBytes: number): ElfImage {
  const file = new BoundedFile(fd, fileBytes);
  const header = new ByteReader(file.read(0, 64, 64, 'ELF header'), 'ELF header');
  if (header.u32() !== 0x464c457f) throw new FormatError('not an ELF file');
  if (header.u8() !== 2 || header.u8() !== 1) throw new FormatError('not a 64-bit little-endian ELF file');
  header.skip(26);
  const programOffset = header.size();
  const sectionOffset = header.size();
  header.skip(6);
  const programEntry = header.u16();
  const programCount = header.u16();
  const sectionEntry = header.u16();
  const sectionCount = header.u16();
  const { segments, notes } = programHeaders(file, programOffset, programEntry, programCount);
  const sections = sectionHeaders(file, sectionOffset, sectionEntry, sectionCount);
  const full = sections.find((section) => section.type === SHT_SYMTAB && section.size > 0);
  const table = full ?? sections.find((section) => section.type === SHT_DYNSYM);
  const functions = table === undefined ? [] : symbols(file, table, sections[table.link]);
  const buildId = buildIdOf(file, notes);
  return { ...(buildId === undefined ? {} : { buildId }), segments, functions, complete: full !== undefined };
}

/** Virtual address of a file offset, by the segment that contains it. */
export function addressOfOffset(segments: readonly ElfSegment[], offset: bigint): bigint | undefined {
  const segment = segments.find((each) => offset >= each.offset && offset < each.offset + each.fileBytes);
  return segment === undefined ? undefined : offset - segment.offset + segment.address;
}

class BoundedFile {
  readonly #fd: number;
  readonly #bytes: number;

  constructor(fd: number, bytes: number) {
    this.#fd = fd;
    this.#bytes = bytes;
  }

  read(offset: number, length: number, most: number, what: string): Uint8Array {
    if (length > most) throw new FormatError(`${what} of ${length} bytes`);
    if (offset + length > this.#bytes)
      throw new FormatError(`${what}: ${length} bytes at ${offset}, the file has ${this.#bytes}`);
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length;) {
      const count = readSync(this.#fd, bytes, done, length - done, offset + done);
      if (count === 0) throw new FormatError(`${what}: the file was cut short while it was read`);
      done += count;
    }
    return bytes;
  }
}

function programHeaders(
  file: BoundedFile,
  offset: number,
  entry: number,
  count: number,
): { segments: ElfSegment[]; notes: { offset: number; size: number }[] } {
  const segments: ElfSegment[] = [];
  const notes: { offset: number; size: number }[] = [];
  if (count > 0 && entry < 56) throw new FormatError(`program headers of ${entry} bytes`);
  const bytes = file.read(offset, entry * count, MAX_HEADER_BYTES, 'program headers');
  for (let index = 0; index < count; index++) {
    const reader = new ByteReader(bytes, 'program header', index * entry);
    const type = reader.u32();
    const flags = reader.u32();
    const start = reader.u64();
    const address = reader.u64();
    reader.skip(8);
    const fileBytes = reader.u64();
    if (type === PT_LOAD && (flags & PF_X) !== 0) segments.push({ offset: start, address, fileBytes });
    // buildIdOf skips a note beyond the end of the file: a debug file lacks the contents.
    if (type === PT_NOTE && fileBytes <= BigInt(MAX_NOTE_BYTES) && start <= BigInt(Number.MAX_SAFE_INTEGER))
      notes.push({ offset: Number(start), size: Number(fileBytes) });
  }
  return { segments, notes };
}

function sectionHeaders(file: BoundedFile, offset: number, entry: number, count: number): SectionHeader[] {
  if (offset === 0) return [];
  if (entry < 64) throw new FormatError(`section headers of ${entry} bytes`);
  // With more than 65,279 sections, the size field of the first header contains their number (elf(5), e_shnum).
  const first = new ByteReader(file.read(offset, 64, 64, 'section header'), 'section header', 32);
  const total = count === 0 ? first.size() : count;
  const bytes = file.read(offset, entry * total, MAX_HEADER_BYTES, 'section headers');
  return Array.from({ length: total }, (_, index) => {
    const reader = new ByteReader(bytes, 'section header', index * entry + 4);
    const type = reader.u32();
    reader.skip(16);
    return { type, offset: reader.size(), size: reader.size(), link: reader.u32() };
  });
}

function symbols(file: BoundedFile, table: SectionHeader, strings: SectionHeader | undefined): NamedRange[] {
  if (strings === undefined) throw new FormatError('the symbol table names no string table');
  const entries = Buffer.from(file.read(table.offset, table.size, MAX_SYMBOL_BYTES, 'symbol table'));
  const names = file.read(strings.offset, strings.size, MAX_STRING_BYTES, 'string table');
  const functions: NamedRange[] = [];
  let decoded = 0;
  for (let at = 0; at + SYMBOL_BYTES <= entries.length; at += SYMBOL_BYTES) {
    const type = entries.readUInt8(at + 4) & 0xf;
    const start = entries.readBigUInt64LE(at + 8);
    const defined = entries.readUInt16LE(at + 6) !== 0;
    if ((type !== STT_FUNC && type !== STT_GNU_IFUNC) || !defined || start === 0n) continue;
    const nameAt = entries.readUInt32LE(at);
    // The version is not part of the name: `clock_gettime@@GLIBC_2.17`.
    const name = textOf(names.subarray(nameAt, nameAt + MAX_NAME_BYTES)).replace(/(?<=.)@.*/, '');
    decoded += name.length;
    if (decoded > MAX_DECODED_BYTES) throw new FormatError('the symbol names overlap too much');
    if (name !== '') functions.push({ start, size: entries.readBigUInt64LE(at + 16), name });
  }
  return functions;
}

function buildIdOf(file: BoundedFile, notes: readonly { offset: number; size: number }[]): string | undefined {
  for (const { offset, size } of notes) {
    try {
      const reader = new ByteReader(file.read(offset, size, MAX_NOTE_BYTES, 'note'), 'note');
      while (reader.remaining >= 12) {
        const [nameBytes, contentBytes, type] = [reader.u32(), reader.u32(), reader.u32()];
        const name = reader.text(Math.min(padded(nameBytes), reader.remaining));
        const content = reader.slice(contentBytes);
        if (type === NT_GNU_BUILD_ID && name === 'GNU' && contentBytes > 0 && contentBytes <= 64)
          return Buffer.from(content).toString('hex');
        reader.skip(Math.min(padded(contentBytes) - contentBytes, reader.remaining));
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      // Without a readable note there is no build-id.
    }
  }
  return undefined;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
