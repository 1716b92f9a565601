/** The other end of as_user.ts: evaluates the body that comes on standard input, prints what it returns. */
import { readFileSync } from 'node:fs';
import { constants, runInThisContext } from 'node:vm';

const { tree, body, args } = JSON.parse(readFileSync(0, 'utf8')) as { tree: string; body: string; args: unknown[] };
const load = (path: string): Promise<object> => import(`${tree}/dist/${path}`);
const world = {
  client: await load('client/index.js'),
  native: ((await load('native.js')) as { native: unknown }).native,
  syntax: { ...(await load('model/events/syntax/event_syntax.js')), ...(await load('model/events/event_defaults.js')) },
};
// The text comes from the test that started this process.
const run = runInThisContext(`(${body})`, { importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }) as (
  world: object,
  ...args: unknown[]
) => Promise<unknown>;
const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
try {
  const ok = await run(world, ...args);
  process.stdout.write(JSON.stringify({ ok: ok ?? null }, plain));
} catch (error) {
  const { message, name, code, stack } = error as Error & { code?: unknown };
  process.stdout.write(JSON.stringify({ error: { ...(error as object), message, name, code, stack } }, plain));
}
process.exit(0);
