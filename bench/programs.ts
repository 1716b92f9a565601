/** The C programs of the benchmark, compiled into a directory of their own. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../test/e2e/daemon.js';

const SOURCES = {
  hand_over: 'bench/hand_over.c',
  open_loop: 'bench/open_loop.c',
  threads: 'bench/threads.c',
  page_faults: 'bench/page_faults.c',
  cpu_time: 'bench/cpu_time.c',
  workload: 'demo/workload.c',
};

export interface Programs {
  /** Readable by everyone; for sockets and files too. */
  readonly directory: string;
  readonly path: (name: keyof typeof SOURCES) => string;
  readonly remove: () => void;
}

export function compilePrograms(): Programs {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-bench-'));
  chmodSync(directory, 0o777);
  for (const [name, source] of Object.entries(SOURCES))
    execFileSync('gcc', [
      '-O2',
      '-g',
      '-fno-omit-frame-pointer',
      join(ROOT, source),
      '-o',
      join(directory, name),
      '-lpthread',
    ]);
  return {
    directory,
    path: (name) => join(directory, name),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
