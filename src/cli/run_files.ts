import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { writeFolded } from '../collector/profile/folded_file.js';
import type { Launcher } from '../collector/launcher/launcher.js';
import { OutputFile } from '../formats/output_file.js';
import { PerfDataReader } from '../formats/perfdata_reader.js';
import type { Fd } from '../native.js';
import { native } from '../native.js';
import { Failure } from './failure.js';

/**
 * Files of `perfbroker run`, all open before CMD starts. They are created with the rights of the user who gets the
 * profile: by this process when it runs as that user, by the launcher when that user is root. A recording has a temporary
 * name until CMD is executed.
 */
export class RunFiles implements Disposable {
  /** The recording; the writer closes it. */
  readonly data: Fd;
  /** Absent: {@link fold} creates the output. */
  readonly #folded: Fd | undefined;
  readonly #output: string;
  readonly #launcher: Launcher;
  /** Absent when the launcher created the files. */
  readonly #ours: OutputFile | undefined;
  readonly #copy: Fd;

  /** @throws Failure when a file cannot be created, LauncherGone */
  static async create(launcher: Launcher, output: string, folded: boolean): Promise<RunFiles> {
    if (launcher.createsFiles) {
      const data = await ask(launcher, folded ? 'scratch' : 'output', output);
      return new RunFiles(launcher, output, data, folded ? await ask(launcher, 'output', output) : undefined);
    }
    try {
      const file = OutputFile.create(output);
      // Folded stacks are made from a recording without a name.
      if (folded) file.discard();
      return new RunFiles(launcher, output, file.takeFd(), undefined, file);
    } catch (error) {
      throw notCreated(output, (error as Error).message);
    }
  }

  private constructor(launcher: Launcher, output: string, data: Fd, folded: Fd | undefined, ours?: OutputFile) {
    this.#launcher = launcher;
    this.#output = output;
    this.data = data;
    this.#folded = folded;
    this.#ours = ours;
    this.#copy = native.duplicate(data);
  }

  /** Reads the finished recording. */
  readData<T>(read: (reader: PerfDataReader) => T): T {
    using reader = new PerfDataReader(native.duplicate(this.#copy));
    return read(reader);
  }

  /** Writes folded stacks from the finished recording. */
  fold(): void {
    writeFolded(native.duplicate(this.#copy), this.#folded ?? this.#output);
  }

  /**
   * Gives the recording its name, after CMD has been executed. The launcher has already named the files it created.
   * @throws Failure
   */
  place(): void {
    const { misplaced } = this.#launcher;
    if (misplaced !== 0) throw notPlaced(this.#output, getSystemErrorName(-misplaced));
    try {
      this.#ours?.place();
    } catch (error) {
      throw notPlaced(this.#output, (error as Error).message);
    }
  }

  /** Removes a file that was not placed; the launcher does so for its own. */
  [Symbol.dispose](): void {
    this.#ours?.discard();
    closeSync(this.#copy);
  }
}

async function ask(launcher: Launcher, type: 'output' | 'scratch', output: string): Promise<Fd> {
  const { reply, fds } = await launcher.call({ type });
  const [fd] = fds;
  if (reply.error === 0 && fd !== undefined) return fd;
  throw notCreated(output, getSystemErrorName(-reply.error), 0);
}

function notCreated(path: string, why: string, uid: number = process.getuid?.() ?? 0): Failure {
  const links = 'a symbolic link, a directory or a device is not replaced';
  // native/launcher/directory.h
  const ofOthers =
    uid === 0 ? ', and a symbolic link in the path that another user could have created is not followed' : '';
  return new Failure(
    `${path} cannot be created: ${why}`,
    `The file is created with the rights of uid ${uid}; ${links}${ofOthers}.`,
    uid === 0
      ? 'Choose another file with -o, in a directory whose path has no such link.'
      : 'Choose another file with -o, in a directory that this user may write to.',
  );
}

function notPlaced(path: string, why: string): Failure {
  return new Failure(
    `the recording cannot be given the name ${path}: ${why}`,
    `Another process changed ${path} or ${path}.old after the command line was checked. The recording is lost.`,
    'Choose a file with -o in a directory that no other user can write to.',
  );
}
