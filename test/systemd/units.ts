import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const UNITS: string = new URL('../../../systemd/', import.meta.url).pathname;
export const SERVICES: readonly string[] = ['perfbroker.service', 'perfbroker-bus.service'];
export const SOCKETS: readonly string[] = ['perfbroker.socket', 'perfbroker-bus.socket'];

/** Values of a key, in order; comments are not looked at. */
export function values(unit: string, key: string, directory: string = UNITS): string[] {
  return readFileSync(join(directory, unit), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));
}

/** Reason why systemd's own tools cannot check the units here, or null. */
export function noSystemd(): string | null {
  const { error, stdout } = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
  if (error !== undefined) return 'systemd-analyze is not installed';
  const version = Number(/^systemd (\d+)/.exec(stdout)?.[1]);
  return version >= 251 ? null : `systemd-analyze is of version ${version}, --offline=true needs 251`;
}

export function examples(): string[] {
  return readdirSync(join(UNITS, 'examples')).filter((name) => name.endsWith('.conf'));
}
