/** Runs a function in a node process of another user, with the client library at hand. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as ClientLibrary from '#dist/client/index.js';
import type { native as Native } from '#dist/native.js';
import type * as EventDefaults from '#dist/model/events/event_defaults.js';
import type * as EventSyntax from '#dist/model/events/syntax/event_syntax.js';

/** Users that exist nowhere: nothing on the machine belongs to them. */
export const ALICE = 60123;
export const BOB = 60124;

/** The package root: two levels above build/test. */
const ROOT = new URL('../../../', import.meta.url).pathname;

let readableRoot: string | undefined;

/** A tree that every user can read: this one, or a staged copy where the checkout is closed to others. */
export function readableTree(): string {
  if (readableRoot !== undefined) return readableRoot;
  const probe = spawnSync('cat', [join(ROOT, 'dist/client/index.js'), join(ROOT, 'build/test/e2e/runner.js')], {
    uid: ALICE,
    gid: ALICE,
    stdio: 'ignore',
  });
  if (probe.status === 0) return (readableRoot = ROOT);
  const copy = mkdtempSync(join(tmpdir(), 'perfbroker-tree-'));
  const staged = spawnSync('sh', [
    '-c',
    'chmod 755 "$1" && "$2/scripts/stage" "$1" && mkdir -p "$1/build/test" && cp -r "$2/build/test/e2e" "$2/build/test/bus" "$1/build/test/" && chmod -R a+rX "$1"',
    'sh',
    copy,
    ROOT,
  ]);
  if (staged.status !== 0) throw new Error(`staging failed: ${String(staged.stderr)}`);
  process.once('exit', () => spawnSync('rm', ['-rf', copy]));
  return (readableRoot = copy);
}

/** Libraries that a body gets in its process. */
export interface World {
  readonly client: typeof ClientLibrary;
  readonly native: typeof Native;
  readonly syntax: typeof EventSyntax & typeof EventDefaults;
}

export interface UserOptions {
  readonly uid: number;
  readonly gid?: number;
  readonly socket: string;
  /** `ulimit` arguments, e.g. `-l 0`. */
  readonly ulimit?: string;
  /** In a user namespace of its own. */
  readonly ownUserNamespace?: boolean;
}

/** A process under way. */
export interface UserProcess<Result> {
  readonly child: ChildProcess;
  readonly result: Promise<Result>;
}

/**
 * Starts `body` as another user. It must not refer to anything but its arguments: its source text is what travels.
 * What it returns or throws comes back as JSON.
 */
export function startAs<Arguments extends readonly unknown[], Result>(
  options: UserOptions,
  body: (world: World, ...args: Arguments) => Promise<Result>,
  ...args: Arguments
): UserProcess<Result> {
  const tree = readableTree();
  const runner = join(tree, 'build/test/e2e/runner.js');
  const child = spawn(
    'sh',
    [
      '-c',
      `${options.ulimit === undefined ? '' : `ulimit ${options.ulimit}; `}exec "$@"`,
      'sh',
      ...(options.ownUserNamespace === true ? ['unshare', '--user'] : []),
      process.execPath,
      runner,
    ],
    {
      uid: options.uid,
      gid: options.gid ?? options.uid,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', PERFBROKER_SOCKET: options.socket },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.end(JSON.stringify({ tree, body: body.toString(), args }));
  const result = new Promise<Result>((resolve, reject) => {
    child.once('close', (code, signal) => {
      try {
        const answer = JSON.parse(output) as { ok?: Result; error?: Record<string, unknown> };
        if (answer.error !== undefined) reject(Object.assign(new Error(String(answer.error['message'])), answer.error));
        else resolve(answer.ok as Result);
      } catch {
        reject(new Error(`the process of uid ${options.uid} ended with ${code ?? signal}: ${output}${errors}`));
      }
    });
  });
  return { child, result };
}

export function runAs<Arguments extends readonly unknown[], Result>(
  options: UserOptions,
  body: (world: World, ...args: Arguments) => Promise<Result>,
  ...args: Arguments
): Promise<Result> {
  return startAs(options, body, ...args).result;
}
