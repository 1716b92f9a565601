/** A Debian 13 to run commands in, which `test/packaging/rootfs` made. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { noPrivilege, ROOT } from '../e2e/daemon.js';

export const ROOTFS: string = process.env['PERFBROKER_ROOTFS'] ?? join(ROOT, 'build/rootfs/trixie');

/** Reason why no command can be run in the root file system here, or null. */
export function noDebian13(): string | null {
  return (
    noPrivilege() ??
    (existsSync(join(ROOTFS, 'usr/bin/dpkg')) ? null : 'needs a root file system: test/packaging/rootfs')
  );
}

/**
 * Runs a command in the root file system `root`, in a mount namespace of its own with /proc: nothing stays mounted below a
 * directory that is removed afterwards.
 * @param folder of this machine that is /mnt in there
 */
export function inside(root: string, command: readonly string[], folder?: string): SpawnSyncReturns<string> {
  const mounts = `mount -t proc -o ro proc "$1/proc"${folder === undefined ? '' : ' && mount --bind "$2" "$1/mnt"'}`;
  return spawnSync(
    'unshare',
    [
      '--mount',
      'sh',
      '-c',
      `${mounts} && root=$1 && shift 2 && exec chroot "$root" "$@"`,
      'sh',
      root,
      folder ?? '',
      ...command,
    ],
    {
      encoding: 'utf8',
      maxBuffer: 64 << 20,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    },
  );
}
