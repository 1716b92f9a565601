/** `perfbroker --exec-gate`: what a command finds that was held until events were attached to its pid. */
import { spawnSync } from 'node:child_process';
import test from 'ava';

const PERFBROKER = new URL('../../../dist/bin/perfbroker', import.meta.url).pathname;

function gate(input: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(PERFBROKER, ['--exec-gate', '0', ...args], { input, encoding: 'utf8' });
}

test('one byte lets the command run, with its arguments as they are', (t) => {
  const { status, stdout } = gate('x', '--', 'printf', '%s|', 'a b', '--', '');
  t.is(status, 0);
  t.is(stdout, 'a b|--||');
});

test('a gate that is closed without a byte runs nothing and prints nothing', (t) => {
  t.deepEqual((({ status, stdout, stderr }) => ({ status, stdout, stderr }))(gate('', '--', 'echo', 'ran')), {
    status: 125,
    stdout: '',
    stderr: '',
  });
});

test('a command that does not exist is 127 and one that may not be executed 126, by its name', (t) => {
  const missing = gate('x', '--', '/nonexistent/command');
  t.is(missing.status, 127);
  t.is(missing.stderr, 'perfbroker: /nonexistent/command: No such file or directory\n');
  const denied = gate('x', '--', '/etc/passwd');
  t.is(denied.status, 126);
  t.is(denied.stderr, 'perfbroker: /etc/passwd: Permission denied\n');
});

test("node's ignored signals and its limit of open files are not inherited, nor is the gate", (t) => {
  const script = 'grep SigIgn /proc/self/status; ulimit -Sn; test -e /proc/self/fd/0 || echo closed';
  const { stdout } = gate('x', '--nofile', '77', '--', 'sh', '-c', script);
  t.is(stdout, 'SigIgn:\t0000000000000000\n77\nclosed\n');
});

test('words that node would change are refused, and all of UTF-8 is taken', (t) => {
  // Only a shell makes such words.
  const described = (word: string): { status: number | null; stderr: string } =>
    spawnSync('sh', ['-c', `exec "$0" --socket /nonexistent record -- echo "$(printf '${word}')"`, PERFBROKER], {
      encoding: 'utf8',
    });
  for (const word of ['\\377', 'a\\300\\200', '\\355\\240\\200', '\\364\\220\\200\\200', '\\303', '\\200']) {
    const { status, stderr } = described(word);
    t.is(status, 2, word);
    t.regex(stderr, /^perfbroker: argument 6 is not UTF-8/);
  }
  for (const word of ['\\303\\244', '\\342\\202\\254', '\\360\\237\\230\\200', '\\364\\217\\277\\277', ''])
    t.is(described(word).status, 3, `${word}: only the broker is not there`);
});

test('a malformed use runs nothing', (t) => {
  for (const args of [[], ['--'], ['echo', 'ran'], ['--nofile', 'many', '--', 'echo', 'ran']]) {
    const { status, stdout } = gate('x', ...args);
    t.is(status, 125, args.join(' '));
    t.is(stdout, '');
  }
});
