/** Standard output and standard error of the command line, in a process of its own. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import test from 'ava';

const MODULE = new URL('../../../dist/cli/output.js', import.meta.url).href;
const program = (body: string): readonly string[] => [
  '--input-type=module',
  '-e',
  `const { print, printError } = await import(${JSON.stringify(MODULE)});\n${body}`,
];

test('text goes to standard output and standard error', (t) => {
  const body = "const sent = [print('ü\\n'), printError('e\\n')]; print(JSON.stringify(sent));";
  const child = spawnSync(process.execPath, program(body), { encoding: 'utf8' });
  t.deepEqual([child.stdout, child.stderr, child.status], ['ü\n[true,true]', 'e\n', 0]);
});

test('a reader that went away is reported, and ends nothing', async (t) => {
  const body = "process.stdin.resume().on('end', () => printError(`${print('x')} continues`));";
  const child = spawn(process.execPath, program(body), { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdout.destroy();
  child.stdin.end();
  let errors = '';
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const [code] = (await once(child, 'close')) as [number];
  t.is(errors, 'false continues');
  t.is(code, 0);
});

test('a pipe that another process made non-blocking gets all of the text when it is full', async (t) => {
  // node makes its own pipes non-blocking: those of process.stdout.
  const body = "process.stdout.write(''); print('x'.repeat(1_000_000));";
  const child = spawn('sh', ['-c', '"$@" | (sleep 0.2; cat)', 'sh', process.execPath, ...program(body)]);
  let length = 0;
  child.stdout.on('data', (data: Buffer) => (length += data.length));
  await once(child, 'close');
  t.is(length, 1_000_000);
});

test('any other failure to write is an error', (t) => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(process.execPath, program("print('x');"), {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  t.is(status, 1);
  t.regex(stderr, /ENOSPC/);
});
