import { closeSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { writeFolded } from '../collector/folded_file.js';
import type { Launcher } from '../collector/launcher.js';
import { createOutputFile } from '../formats/output_file.js';
import { PerfDataReader } from '../formats/perfdata_reader.js';
import type { Fd } from '../native.js';
import { native } from '../native.js';
import { Failure } from './failure.js';

/**
 * The files of `perfbroker run`, all of them open before CMD begins. They are created with the rights of the user whom
 * the profile is for: here, when this process runs as that user; by the launcher, when that is root itself.
 */
export class RunFiles {
  /** The recording; whoever writes it closes it. */
  readonly data: Fd;
  /** Absent: `output` is to be created. */
  readonly #folded: Fd | undefined;
  readonly #output: string;
  readonly #ours: boolean;
  readonly #copy: Fd;

  /** @throws Failure when a file can not be created, LauncherGone */
  static async create(launcher: Launcher, output: string, folded: boolean): Promise<RunFiles> {
    if (launcher.createsFiles) {
      const data = await ask(launcher, folded ? 'scratch' : 'output', output);
      return new RunFiles(output, data, folded ? await ask(launcher, 'output', output) : undefined, false);
    }
    // Stacks are made from a recording that lies, without a name, beside them.
    const path = folded ? join(dirname(output), `.${basename(output)}.${process.pid}.data`) : output;
    try {
      const data = createOutputFile(path);
      if (folded) rmSync(path);
      return new RunFiles(output, data, undefined, !folded);
    } catch (error) {
      throw notCreated(output, (error as Error).message);
    }
  }

  private constructor(output: string, data: Fd, folded: Fd | undefined, ours: boolean) {
    this.#output = output;
    this.data = data;
    this.#folded = folded;
    this.#ours = ours;
    this.#copy = native.duplicate(data);
  }

  /** Reads the finished recording. */
  readData<T>(read: (reader: PerfDataReader) => T): T {
    const reader = new PerfDataReader(native.duplicate(this.#copy));
    try {
      return read(reader);
    } finally {
      reader.close();
    }
  }

  /** Makes stacks of the finished recording. */
  fold(): void {
    writeFolded(native.duplicate(this.#copy), this.#folded ?? this.#output);
  }

  /** Nothing was recorded. What the launcher created, it removes. */
  discard(): void {
    if (this.#ours) rmSync(this.#output, { force: true });
  }

  close(): void {
    closeSync(this.#copy);
  }
}

async function ask(launcher: Launcher, type: 'output' | 'scratch', output: string): Promise<Fd> {
  const { reply, fds } = await launcher.call({ type });
  const [fd] = fds;
  if (reply.error === 0 && fd !== undefined) return fd;
  throw notCreated(output, getSystemErrorName(-reply.error));
}

function notCreated(path: string, why: string): Failure {
  const uid = process.getuid?.() ?? 0;
  return new Failure(
    `${path} can not be created: ${why}`,
    `The file is created with the rights of uid ${uid}; symbolic links and what is no regular file are refused.`,
    'Name another file with -o.',
  );
}
