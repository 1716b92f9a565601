/** A command line in a process of its own, against a fake broker of the test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ExecutionContext } from 'ava';
import type { MethodHandler } from '#dist/varlink/service.js';
import { FakeBroker } from '../../client/fake_broker.js';

export const MAIN: string = new URL('../../../../dist/cli/main.js', import.meta.url).pathname;

/** Output after which a command gets Ctrl-C: the test makes the fake broker send it. */
export const INTERRUPT = '(interrupt now)';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCommand(
  t: ExecutionContext,
  handlers: Readonly<Record<string, MethodHandler<null>>>,
  ...args: readonly string[]
): Promise<Ended> {
  const broker = new FakeBroker(handlers);
  t.teardown(() => broker.close());
  const child = spawn(process.execPath, [MAIN, ...args, '--socket', broker.path], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
    if (stdout.includes(INTERRUPT)) child.kill('SIGINT');
  });
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}
