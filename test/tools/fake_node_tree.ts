import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../e2e/daemon.js';

/**
 * Makes a tree of the programs that start node, in which a script stands for node.
 * @param directory existing; every user may search it
 * @param nodes the script by its path below `directory`. `bin/node` is the node of the tree.
 * @returns path of the programs
 */
export function fakeNodeTree(directory: string, nodes: Readonly<Record<string, string>>): string {
  for (const folder of ['bin', 'cli', 'bus']) mkdirSync(join(directory, folder), { recursive: true });
  for (const program of ['cli/main.js', 'bus/main.js']) writeFileSync(join(directory, program), '');
  for (const program of ['perfbroker', 'perfbroker-bus'])
    copyFileSync(join(ROOT, 'dist/bin', program), join(directory, 'bin', program));
  for (const [path, script] of Object.entries(nodes)) {
    mkdirSync(join(directory, path, '..'), { recursive: true });
    writeFileSync(join(directory, path), script);
    chmodSync(join(directory, path), 0o755);
  }
  return join(directory, 'bin');
}
