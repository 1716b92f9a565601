/** The Debian package, built once for each test file that asks, and what is in it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../e2e/daemon.js';

/** One entry of data.tar, as `dpkg-deb --contents` lists it. */
export interface Entry {
  /** E.g. `-rw-r--r--`. */
  readonly mode: string;
  /** `root/root`. */
  readonly owner: string;
  /** Without the leading `./`; directories end in `/`. */
  readonly path: string;
  /** Target of a symbolic link. */
  readonly target: string | undefined;
}

export interface Package {
  readonly file: string;
  readonly entries: readonly Entry[];
  /** The unpacked files. */
  readonly tree: string;
  /** The unpacked control archive. */
  readonly control: string;
  field(name: string): string;
}

/** Reason why no package can be built here, or null. */
export function noPackaging(): string | null {
  for (const tool of ['dpkg-deb', 'dpkg-shlibdeps', 'strip']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined)
      return `needs ${tool} (dpkg-dev, binutils)`;
  }
  return null;
}

const made: string[] = [];
process.once('exit', () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-package-'));
  made.push(directory);
  return directory;
}

/** Packs the built tree; the .deb's path. */
export function buildDeb(...args: string[]): string {
  return buildDebWith({}, ...args);
}

/** The same with more in the environment. */
export function buildDebWith(env: Readonly<Record<string, string>>, ...args: string[]): string {
  const output = temporaryDirectory();
  const run = spawnSync(join(ROOT, 'scripts/package'), ['--output', output, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  if (run.status !== 0) throw new Error(`scripts/package: ${run.stdout}${run.stderr}`);
  return join(
    output,
    readdirSync(output).find((name) => name.endsWith('.deb'))!,
  );
}

export function unpack(file: string): Package {
  const tree = join(temporaryDirectory(), 'tree');
  const control = join(temporaryDirectory(), 'control');
  execFileSync('dpkg-deb', ['--extract', file, tree]);
  execFileSync('dpkg-deb', ['--control', file, control]);
  const listing = execFileSync('dpkg-deb', ['--contents', file], { encoding: 'utf8', maxBuffer: 16 << 20 });
  const entries = listing
    .trimEnd()
    .split('\n')
    .map((line): Entry => {
      const [, mode = '', owner = '', path = '', target] =
        /^(\S{10}) (\S+) +\d+ \S+ \S+ \.\/(.*?)(?: -> (.*))?$/.exec(line) ?? [];
      return { mode, owner, path, target };
    });
  const fields = readFileSync(join(control, 'control'), 'utf8');
  return {
    file,
    entries,
    tree,
    control,
    field: (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(fields)?.[1] ?? '',
  };
}
