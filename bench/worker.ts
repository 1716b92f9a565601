/** Processes that wait for a line and answer it with a line: both sides of a comparison stay warm and take turns. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface WorkerOptions {
  readonly uid?: number;
  readonly socket?: string;
}

export class Worker {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string, undefined>;

  constructor(command: string, args: readonly string[], { uid, socket }: WorkerOptions = {}) {
    this.#child = spawn(command, args, {
      ...(uid === undefined ? {} : { uid, gid: uid }),
      cwd: '/',
      env: {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        ...(socket === undefined ? {} : { PERFBROKER_SOCKET: socket }),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The next line that it prints. */
  async next(): Promise<string> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`${this.#child.spawnargs.join(' ')} ended with ${this.#child.exitCode}`);
    return line.value;
  }

  /** Runs `count` repetitions. @returns the duration of each, in nanoseconds */
  async times(count: number): Promise<number[]> {
    this.#child.stdin!.write(`${count}\n`);
    return JSON.parse(await this.next()) as number[];
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await closed;
  }
}
