import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { FormatError } from '../../formats/format_error.js';
import type { ElfImage, ElfSegment } from './elf.js';
import { addressOfOffset, readElf } from './elf.js';
import { SymbolTable } from './symbol_table.js';

/** Functions of a file, found by file offset. */
export class SymbolFile {
  readonly #segments: readonly ElfSegment[];
  readonly #table: SymbolTable;

  constructor(image: Pick<ElfImage, 'segments' | 'functions'>) {
    this.#segments = image.segments;
    this.#table = new SymbolTable(image.functions);
  }

  /** Name of the function that contains the byte at `offset` of the file. */
  find(offset: bigint): string | undefined {
    const address = addressOfOffset(this.#segments, offset);
    return address === undefined ? undefined : this.#table.find(address);
  }
}

/**
 * Opens a file that a process had mapped. Several paths may lead to it: /proc/PID/root while the process lives, and the
 * plain path. The first with the right inode is used, else the first that exists, since some file systems (overlayfs,
 * btrfs) report other inode numbers than the kernel's records.
 * @returns undefined when no path leads to a readable file
 */
export function openSymbolFile(paths: readonly string[], inode: bigint): SymbolFile | undefined {
  const images = paths.map((path) => ({ path, file: openRegular(path) }));
  try {
    const usable = images.filter(({ file }) => file !== undefined);
    const chosen = usable.find(({ file }) => inode !== 0n && file?.inode === inode) ?? usable[0];
    if (chosen?.file === undefined) return undefined;
    const image = readElf(chosen.file.fd, chosen.file.bytes);
    return new SymbolFile(image.complete ? image : { ...image, functions: debugFunctions(image) ?? image.functions });
  } catch (error) {
    if (error instanceof FormatError || isSystemError(error)) return undefined;
    throw error;
  } finally {
    for (const { file } of images) if (file !== undefined) closeSync(file.fd);
  }
}

/** Functions of Debian's -dbgsym packages, found by build-id, and used only when their own build-id is the same. */
function debugFunctions(image: ElfImage, directory = '/usr/lib/debug/.build-id'): ElfImage['functions'] | undefined {
  const { buildId } = image;
  if (buildId === undefined) return undefined;
  const file = openRegular(`${directory}/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`);
  if (file === undefined) return undefined;
  try {
    const debug = readElf(file.fd, file.bytes);
    return debug.buildId === buildId && debug.complete ? debug.functions : undefined;
  } catch (error) {
    if (error instanceof FormatError || isSystemError(error)) return undefined;
    throw error;
  } finally {
    closeSync(file.fd);
  }
}

function openRegular(path: string): { fd: number; inode: bigint; bytes: number } | undefined {
  let fd: number;
  try {
    // The path is untrusted: opening a FIFO must not hang, and a terminal must not become our controlling terminal.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  const stat = fstatSync(fd, { bigint: true });
  if (stat.isFile()) return { fd, inode: stat.ino, bytes: Number(stat.size) };
  closeSync(fd);
  return undefined;
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
