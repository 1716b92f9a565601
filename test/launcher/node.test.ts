/** The node that the program starts, its options, and the variables and limits that it gets. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ROOT } from '../e2e/daemon.js';
import { fakeNodeTree } from '../tools/fake_node_tree.js';

const PERFBROKER = join(ROOT, 'dist/bin/perfbroker');

function directoryOf(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-node-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** Runs `perfbroker grants` where scripts stand for node. */
function start(
  directory: string,
  nodes: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): SpawnSyncReturns<string> {
  const programs = fakeNodeTree(directory, nodes);
  return spawnSync(join(programs, 'perfbroker'), ['grants'], {
    encoding: 'utf8',
    env: { PATH: `${directory}/old:${directory}/folder:${directory}/new:/bin`, ...env },
  });
}

const versioned = (version: string): string =>
  `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo "ran ${version}"; fi\n`;

test('the node of the tree is started, although another comes first in PATH', (t) => {
  const nodes = { 'bin/node': versioned('v20.1.0'), 'old/node': versioned('v18.19.0') };
  const { stdout, stderr } = start(directoryOf(t), nodes);
  t.deepEqual([stdout, stderr], ['ran v20.1.0\n', '']);
});

test('where it is gone, folders and versions below 20 are passed over, and each version is named', (t) => {
  const directory = directoryOf(t);
  const nodes = { 'old/node': versioned('v18.19.0'), 'folder/node/file': '', 'new/node': versioned('v22.2.0') };
  const { stdout, stderr } = start(directory, nodes);
  t.is(stdout, 'ran v22.2.0\n');
  t.is(stderr, `perfbroker: ${directory}/old/node has version v18.19.0, and perfbroker needs Node.js 20 or later\n`);
});

test('without any node there is one sentence', (t) => {
  const directory = directoryOf(t);
  const { status, stderr } = start(directory, { 'old/node': versioned('v18.19.0') });
  if (/v2\d/.test(spawnSync('/usr/bin/node', ['--version']).stdout?.toString() ?? ''))
    return void t.pass('there is one in /usr/bin');
  t.is(status, 127);
  t.regex(
    stderr,
    /^perfbroker: \S+ has version v18.19.0, and perfbroker needs Node.js 20 or later; no other node is in PATH, [^\n]*\n$/,
  );
});

test('what is meant for the command does not set up node', (t) => {
  const settings = {
    NODE_OPTIONS: '--inspect',
    NODE_V8_COVERAGE: '/tmp/x',
    NODE_CHANNEL_FD: '3',
    NODE_EXTRA_CA_CERTS: '/nonexistent',
    LD_LIBRARY_PATH: '/nonexistent',
    LD_AUDIT: '',
    UV_THREADPOOL_SIZE: '0',
    OPENSSL_CONF: '/nonexistent',
    GLIBC_TUNABLES: 'glibc.malloc.check=3',
  };
  const { stdout } = start(directoryOf(t), { 'bin/node': '#!/bin/sh\nexec env\n' }, { ...settings, KEPT: 'yes' });
  t.regex(stdout, /^KEPT=yes$/m);
  t.notRegex(stdout, /^(NODE_|LD_|UV_|OPENSSL_|GLIBC_)/m);
});

test('a node that is looked up keeps LD_LIBRARY_PATH, which it may need', (t) => {
  const node = '#!/bin/sh\nif [ "$1" = --version ]; then echo v20.0.0; else exec env; fi\n';
  const { stdout } = start(directoryOf(t), { 'new/node': node }, { LD_LIBRARY_PATH: '/some/where', NODE_OPTIONS: 'x' });
  t.regex(stdout, /^LD_LIBRARY_PATH=\/some\/where$/m);
  t.notRegex(stdout, /^NODE_OPTIONS/m);
});

/** Under limits of the shell. */
const limited = (limits: string, ...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync('sh', ['-c', `${limits}; exec "$0" "$@"`, PERFBROKER, ...args], { encoding: 'utf8' });

test('300 MiB of address space are enough, and fewer are refused in one sentence', (t) => {
  const enough = limited(`ulimit -v ${300 << 10}`, '--version');
  t.deepEqual([enough.status, enough.stderr], [0, '']);
  t.regex(enough.stdout, /^\d+\.\d+/);
  const few = limited(`ulimit -v ${(300 << 10) - 1}`, '--version');
  t.is(few.status, 125);
  t.is(few.stderr, 'perfbroker: 300 MiB of address space are needed, the limit is 299 MiB (ulimit -v)\n');
});

test('every limit of open files either suffices or is refused with both numbers', (t) => {
  let refused = 0;
  // With 3, the dynamic loader has no fd for the C library of any program.
  for (let limit = 4; limit <= 48; limit++) {
    const { status, stdout, stderr } = limited(`ulimit -n ${limit}`, '--version');
    if (status === 0) {
      t.regex(stdout, /^\d+\.\d+/, String(limit));
      continue;
    }
    refused++;
    t.is(status, 1);
    const [, needed, given] =
      /^perfbroker: (\d+) fds are needed, the limit is (\d+) \(ulimit -Hn\)\n$/.exec(stderr) ?? [];
    t.is(Number(given), limit, stderr);
    t.true(Number(needed) > limit);
  }
  t.true(refused > 0);
  const { status } = limited('ulimit -n 48', '--version');
  t.is(status, 0);
});
