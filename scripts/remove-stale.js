// Removes compiled files whose source is gone. tsc leaves them, and a test that was moved would run twice.
// Usage: node scripts/remove-stale.js
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
/** Folders that tsc writes, each with the folder of its sources. */
const COMPILED = { dist: 'src', 'build/test': 'test', 'build/bench': 'bench', 'build/fuzz': 'fuzz' };

for (const [output, source] of Object.entries(COMPILED)) {
  const folder = join(ROOT, output);
  if (!existsSync(folder)) continue;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const stem = /^(.*?)(?:\.js|\.js\.map|\.d\.ts)$/.exec(entry.name)?.[1];
    if (!entry.isFile() || stem === undefined) continue;
    const from = join(ROOT, source, relative(folder, entry.parentPath), `${stem}.ts`);
    if (!existsSync(from)) rmSync(join(entry.parentPath, entry.name));
  }
}
