/** Addresses that the holder of a breakpoint event can move it to (SECURITY.md, "Powers of the holder of an fd"). */
import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { compileTools } from '../tools/compile.js';
import { ALICE, runAs, type World } from './as_user.js';
import { noPrivilege, skip, startDaemon } from './daemon.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

interface Moved {
  /** Printed by the tool. */
  readonly lines: readonly string[];
  /** A breakpoint that is opened where the tool moves the other one to is hit: not every virtual machine has that. */
  readonly hit: boolean;
}

/** Opens a breakpoint on a process of the same user, and has the tool move it. Returns the reason when there is none. */
const moveOne = async ({ client, syntax }: World, tool: string): Promise<Moved | string> => {
  const { spawn } = await import('node:child_process');
  const events = (await import('node:events')).default;
  const target = spawn(tool, ['target'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [addresses] = (await events.once(target.stdout, 'data')) as [Buffer];
  const [first = '', second = ''] = addresses.toString().trim().split(' ');
  try {
    const [event] = syntax.parseEvents(`mem:${first}/8:w:u`);
    const connection = await client.connect();
    const grant = await connection.open({ targets: [{ pid: target.pid! }], events: [{ ...event!, readFormat: [] }] });
    const holder = spawn(tool, ['move', '3', second], { stdio: ['ignore', 'pipe', 'inherit', grant.events[0]!.fd] });
    let text = '';
    holder.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await events.once(holder, 'close');
    const [there] = syntax.parseEvents(`mem:${second}/8:w:u`);
    const other = await connection.open({ targets: [{ pid: target.pid! }], events: [{ ...there!, readFormat: [] }] });
    other.events[0]!.enable();
    for (let tries = 0; tries < 200 && other.events[0]!.read()[0] === 0n; tries++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    const hit = other.events[0]!.read()[0] !== 0n;
    await connection.close();
    return { lines: text.trim().split('\n'), hit };
  } catch (error) {
    const { code = '', message } = error as Error & { code?: string };
    if (!['ENOSPC', 'ENODEV', 'EOPNOTSUPP'].includes(code)) throw error;
    return message;
  } finally {
    target.stdin.end();
  }
};

privileged('a breakpoint moves to any address of its target, and to none of the kernel', async (t) => {
  const tools = compileTools('breakpoint_holder');
  t.teardown(() => tools.remove());
  const tool = tools.path('breakpoint_holder');
  chmodSync(dirname(tool), 0o755);
  const daemon = await startDaemon({ args: ['--ceiling', 'user,breakpoint'] });
  t.teardown(() => daemon.stop());
  const moved = await runAs({ uid: ALICE, socket: daemon.socket }, moveOne, tool);
  if (typeof moved === 'string') return skip(t, `this machine has no breakpoint to give: ${moved}`);
  const { lines, hit } = moved;
  const kernel = lines.filter((line) => line.startsWith('0x'));
  t.is(kernel.length, 8, lines.join('\n'));
  for (const line of kernel) t.regex(line, line.includes('taken back') ? / (EPERM|EINVAL)$/ : / EINVAL$/);
  // An event keeps excluding kernel mode, at any address.
  t.true(lines.includes('word with exclude_kernel taken back EINVAL'), lines.join('\n'));
  t.true(lines.includes('word 0'), lines.join('\n'));
  if (hit) t.regex(lines.at(-1) ?? '', /^count [1-9]\d*$/);
  else skip(t, 'breakpoints are opened here, and never hit');
});
