/** Policy files in a directory of their own, for the tests of reading them. */
import test, { type ExecutionContext } from 'ava';
import { chmodSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory that any user may enter, removed when the test ends. */
export function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'policy-'));
  chmodSync(path, 0o755);
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** Writes a file, with mode 0644 regardless of the umask, and the directories above it. @returns its path */
export function write(parent: string, name: string, text: string | Uint8Array): string {
  const path = join(parent, name);
  if (name.includes('/')) mkdirSync(join(path, '..'), { recursive: true, mode: 0o755 });
  writeFileSync(path, text);
  chmodSync(path, 0o644);
  return path;
}

export function rule(name: string, more = ''): string {
  return `[[rule]]
name = "${name}"
verdict = "allow"
subjects = { users = ["alice"] }
targets = { same_user = true }
classes = ["user"]
${more}
`;
}

/** For what only root can set up: files of several owners, other users' processes. */
export const rootTest: (title: string, body: (t: ExecutionContext) => void) => void = (title, body) => {
  if (process.getuid?.() === 0) test(title, body);
  else test.skip(`${title} (skipped: needs root)`, body);
};
