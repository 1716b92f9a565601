import { isatty } from 'node:tty';
import type { DrainStats } from '../native.js';
import { byteText, grouped, samplesText } from './text.js';
import { printError } from './output.js';

const EVERY_MS = 500;

/** Progress of a recording, on one line of the terminal; nothing when standard error is not a terminal. */
export class Progress implements Disposable {
  #timer: NodeJS.Timeout | undefined;

  begin(stats: () => DrainStats): void {
    if (!isatty(2)) return;
    const began = Date.now();
    this.#timer = setInterval(() => {
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
    printError('\r\x1b[K');
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
