import type { DrainStats } from '../native.js';
import { commandParent, stderrIsTerminal } from './command_parent.js';
import { byteText, grouped, samplesText } from './text.js';
import { printError } from './output.js';

const EVERY_MS = 500;

/** Options of {@link Progress}. */
export interface ProgressOptions {
  readonly quiet?: true;
  readonly progress?: true;
}

/** True when a line of progress disturbs no other output: the terminal is there, and neither CMD's nor another job's. */
export function mayShowProgress({ quiet, progress }: ProgressOptions, hasCommand: boolean): boolean {
  if (quiet === true) return false;
  return progress === true || (!hasCommand && stderrIsTerminal());
}

/** Progress of a recording, on one line of the terminal. */
export class Progress implements Disposable {
  readonly #isForced: boolean;
  #timer: NodeJS.Timeout | undefined;
  #isShown = false;

  /** @param isForced shows it also from the background */
  constructor(isForced: boolean) {
    this.#isForced = isForced;
  }

  begin(stats: () => DrainStats): void {
    const began = Date.now();
    this.#timer = setInterval(() => {
      if (!this.#isForced && commandParent()?.isInForeground() === false) return;
      this.#isShown = true;
      const { samples, lost, bytes } = stats();
      const seconds = ((Date.now() - began) / 1000).toFixed(0);
      const parts = [`${seconds} s`, samplesText(samples), `${grouped(lost)} lost`, byteText(Number(bytes))];
      printError(`\r\x1b[K${parts.join('  ')}  (Ctrl-C ends)`);
    }, EVERY_MS);
  }

  /** Idempotent. */
  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#isShown) printError('\r\x1b[K');
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
