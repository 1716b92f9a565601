import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { watchInterrupts } from '#dist/cli/interrupts.js';

test.serial('the first interrupt aborts, and none is watched after the scope', (t) => {
  {
    using interrupts = watchInterrupts();
    process.emit('SIGINT');
    t.true(interrupts.signal.aborted);
    t.is(process.listenerCount('SIGINT'), 1);
  }
  t.is(process.listenerCount('SIGINT'), 0);
  t.is(process.listenerCount('SIGTERM'), 0);
});

test('the second interrupt quits at once, after the removal of temporary files', async (t) => {
  const program = `
    const { watchInterrupts } = await import(process.argv[1]);
    watchInterrupts(() => console.log('removed'));
    setInterval(() => undefined, 1000);
    process.kill(process.pid, 'SIGTERM');
    setImmediate(() => setImmediate(() => process.kill(process.pid, 'SIGHUP')));
  `;
  const module = new URL('../../../dist/cli/interrupts.js', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, module]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 130);
  t.is(output, 'removed\n');
});
