/** Ids of user and group names. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { native } from '#dist/native.js';
import { noPrivilege } from '../e2e/daemon.js';
import { runModule } from './support.js';

/** Name and id of each line of /etc/passwd or /etc/group. A later line with the same name does not count. */
function entries(path: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) {
    const [name = '', , id] = line.split(':');
    if (/^[a-z_][\w-]*$/i.test(name) && !found.has(name)) found.set(name, Number(id));
  }
  return found;
}

test('every user of /etc/passwd and every group of /etc/group has its id', (t) => {
  const users = entries('/etc/passwd');
  t.is(users.get('root'), 0);
  for (const [name, id] of users) t.is(native.userId(name), id, name);
  for (const [name, id] of entries('/etc/group')) t.is(native.groupId(name), id, name);
});

test('a name without an account has no id, and a number is not a name', (t) => {
  for (const name of ['no-such-name-9', '0', 'root ', 'ROOT', 'x'.repeat(100_000), 'ümläut', ':', '\n']) {
    t.is(native.userId(name), null, name.slice(0, 20));
    t.is(native.groupId(name), null, name.slice(0, 20));
  }
});

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test : test.skip;

/** Runs `source` where the group files `lines` are all of /etc/group. */
async function withGroups(t: ExecutionContext, lines: readonly string[], source: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-accounts-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'group');
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
  const mount = 'mount --bind "$1" /etc/group && shift && exec "$@"';
  const { code, output } = await runModule(source, ['unshare', '--mount', 'sh', '-c', mount, 'sh', file]);
  t.is(code, 0, output);
  return output;
}

/** A line of group(5) of at least `bytes` bytes. */
function largeGroup(name: string, gid: number, bytes: number): string {
  return `${name}:x:${gid}:${Array.from({ length: Math.ceil(bytes / 10) }, (_, i) => `m${String(i).padStart(8, '0')}`).join()}`;
}

privileged('a group with a hundred thousand members has its id', async (t) => {
  const lines = ['root:x:0:', largeGroup('many', 4_000_000_123, 1_000_000), 'last:x:77:'];
  const output = await withGroups(t, lines, "console.log(native.groupId('many'), native.groupId('last'));");
  t.is(output, '4000000123 77\n');
});

privileged('an entry that is larger than any buffer is an error, not a missing group', async (t) => {
  const lines = ['root:x:0:', largeGroup('huge', 55, 17 << 20)];
  const source =
    "try { console.log(native.groupId('huge')); } catch ({ code, syscall }) { console.log(code, syscall); }";
  t.is(await withGroups(t, lines, source), 'ERANGE getgrnam_r\n');
});
