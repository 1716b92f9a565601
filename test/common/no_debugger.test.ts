/** Programs of this project ignore SIGUSR1. */
import { spawnSync } from 'node:child_process';
import test from 'ava';

const MODULE = new URL('../../../dist/common/no_debugger.js', import.meta.url).href;
/** Signals are handled in their order: after SIGUSR2, SIGUSR1 has been. */
const PROGRAM = `
  import inspector from 'node:inspector';
  await import(${JSON.stringify(MODULE)});
  const count = process.listenerCount('SIGUSR1');
  const alive = setInterval(() => undefined, 1000);
  process.on('SIGUSR2', () => {
    console.log(count, inspector.url());
    clearInterval(alive);
  });
  process.kill(process.pid, 'SIGUSR1');
  process.kill(process.pid, 'SIGUSR2');
`;

test('SIGUSR1 opens no debugger, and the program continues', (t) => {
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', PROGRAM], { encoding: 'utf8' });
  t.is(child.stdout, '1 undefined\n');
  t.notRegex(child.stderr, /Debugger listening/);
  t.is(child.status, 0);
});
