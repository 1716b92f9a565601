/** Other versions of Node.js: the binaries that npm packages ship, kept in build/nodes. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, constants, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../e2e/daemon.js';
import { temporaryDirectory } from './deb.js';

/** Major versions that the package is tested with. */
export const MAJORS = [20, 22, 24] as const;

/** Reason why this version is not available here, or null when it is in build/nodes. Asks the registry of npm once. */
export function obtainNode(major: number): string | null {
  if (existsSync(cached(major))) return null;
  const name = `node-linux-${process.arch}`;
  const folder = join(ROOT, 'build/nodes', String(major));
  mkdirSync(folder, { recursive: true });
  const args = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
  const { status, stderr, error } = spawnSync('npm', [...args, `${name}@${major}`], {
    encoding: 'utf8',
    timeout: 100_000,
    env: { ...process.env, npm_config_fetch_retries: '0' },
  });
  if (status === 0 && existsSync(cached(major))) return null;
  const why = error?.message ?? stderr.trim().split('\n')[0] ?? '';
  return `Node.js ${major} is not here: npm cannot install ${name}: ${why}`;
}

/** A folder that every user can read, with `node` in it: the checkout may be closed to others. It goes when the process ends. */
export function readableNode(major: number): string {
  const folder = temporaryDirectory();
  chmodSync(folder, 0o755);
  copyFileSync(cached(major), join(folder, 'node'), constants.COPYFILE_FICLONE);
  chmodSync(join(folder, 'node'), 0o755);
  return folder;
}

function cached(major: number): string {
  return join(ROOT, 'build/nodes', String(major), 'node_modules', `node-linux-${process.arch}`, 'bin/node');
}
