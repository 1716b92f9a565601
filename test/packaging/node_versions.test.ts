/** The installed package, under each supported version of Node.js, regardless of the version that built it. */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { call, POLICY_FILES, request, startFrontEnd } from '../bus/front_end.js';
import { noPrivateBus, startPrivateBus, USERS } from '../bus/private_bus.js';
import { noPrivilege, skip, startDaemon, type Daemon } from '../e2e/daemon.js';
import { buildDeb, noPackaging, temporaryDirectory, unpack } from './deb.js';
import { MAJORS, obtainNode, readableNode } from './nodes.js';

const USER = USERS.member;
const reason = noPrivilege() ?? noPackaging();
if (reason !== null) console.log(`skipped: ${reason}`);

/** A version at hand: the first node in PATH, and the installed tree. */
interface Installed {
  readonly path: string;
  readonly tree: string;
}

let unpacked: string;
if (reason === null) {
  test.before(() => {
    const { tree } = unpack(buildDeb());
    chmodSync(join(tree, '..'), 0o755);
    unpacked = join(tree, 'usr/libexec/perfbroker');
  });
}

async function daemonOf(t: ExecutionContext, { path, tree }: Installed): Promise<Daemon> {
  const daemon = await startDaemon({ program: join(tree, 'dist/bin/perfbrokerd'), env: { PATH: path } });
  t.teardown(() => daemon.stop());
  return daemon;
}

/** Runs commands of the package as a user without rights, in a folder of that user. */
class UnprivilegedUser {
  readonly folder: string = temporaryDirectory();
  readonly #env: Readonly<Record<string, string>>;

  constructor({ path }: Installed, socket: string) {
    chownSync(this.folder, USER, USER);
    this.#env = { PATH: path, PERFBROKER_SOCKET: socket };
  }

  run(program: string, ...args: string[]): SpawnSyncReturns<string> {
    const identity = { uid: USER, gid: USER, cwd: this.folder, env: this.#env };
    return spawnSync(program, args, { ...identity, encoding: 'utf8', timeout: 60_000 });
  }
}

/** Lines that node itself writes: warnings, and complaints about options. */
const OF_NODE = /^(?:\(node:|\(Use |Warning: |.*bad option).*$/m;

function check(t: ExecutionContext, major: number, run: (installed: Installed) => Promise<void>): Promise<void> | void {
  if (reason !== null) return skip(t, reason);
  t.timeout(5 * 60_000);
  const missing = obtainNode(major);
  if (missing !== null) return skip(t, missing);
  const folder = readableNode(major);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return run({ path: `${folder}:/usr/bin:/bin`, tree: unpacked });
}

for (const major of MAJORS) {
  test.serial(`Node.js ${major}: the daemon serves, and records and counts for a user`, (t) =>
    check(t, major, async (installed) => {
      const daemon = await daemonOf(t, installed);
      const node = readlinkSync(`/proc/${daemon.parts.broker}/exe`);
      t.regex(execFileSync(node, ['--version'], { encoding: 'utf8' }), new RegExp(`^v${major}\\.`));
      const perfbroker = join(installed.tree, 'dist/bin/perfbroker');
      const user = new UnprivilegedUser(installed, daemon.socket);
      const record = user.run(perfbroker, 'record', '-o', 'data', '-e', 'task-clock:u', '--', 'sh', '-c', ':');
      t.is(record.status, 0, record.stderr);
      t.is(readFileSync(join(user.folder, 'data'), 'latin1').slice(0, 8), 'PERFILE2');
      const report = user.run(perfbroker, 'report', 'data');
      t.is(report.status, 0, report.stderr);
      const stat = user.run(perfbroker, 'stat', '-e', 'task-clock:u', '--', 'sh', '-c', ':');
      t.is(stat.status, 0, stat.stderr);
      t.regex(stat.stdout + stat.stderr, /task-clock/);
      for (const text of [daemon.log(), record.stderr, report.stderr, stat.stderr]) t.notRegex(text, OF_NODE);
      t.deepEqual(await daemon.stop(), { code: 0, signal: null });
    }),
  );

  test.serial(`Node.js ${major}: a program imports the library and opens an event`, (t) =>
    check(t, major, async (installed) => {
      const daemon = await daemonOf(t, installed);
      const source = `
        import { connect, parseEvents } from ${JSON.stringify(join(installed.tree, 'dist/client/index.js'))};
        const client = await connect();
        const grant = await client.open({ targets: [{ pid: process.pid }], events: parseEvents('task-clock:u') });
        for (const event of grant.events) event.enable();
        const counted = grant.events.every((event) => typeof event.read()[0] === 'bigint');
        await client.close();
        console.log(process.versions.node.split('.')[0], grant.events.length > 0, counted);`;
      const run = new UnprivilegedUser(installed, daemon.socket).run('node', '--input-type=module', '-e', source);
      t.is(run.stderr, '');
      t.is(run.stdout, `${major} true true\n`);
    }),
  );

  test.serial(`Node.js ${major}: the front end answers on the bus`, (t) => {
    const missing = noPrivateBus();
    if (missing !== null) return skip(t, missing);
    return check(t, major, async (installed) => {
      const daemon = await daemonOf(t, installed);
      const bus = await startPrivateBus(t, { policyFiles: POLICY_FILES, polkit: false });
      const frontEnd = await startFrontEnd(bus, {
        socket: daemon.socket,
        tree: installed.tree,
        env: { PATH: installed.path },
      });
      const node = readlinkSync(`/proc/${frontEnd.child.pid}/exe`);
      t.regex(execFileSync(node, ['--version'], { encoding: 'utf8' }), new RegExp(`^v${major}\\.`));
      const answer = await call(await bus.connect(), 'Explain', 'aa{sv}aa{sv}a{sv}', request(process.pid));
      t.true(answer.length > 0);
      t.notRegex(frontEnd.log(), OF_NODE);
      t.deepEqual(await frontEnd.stop(), { code: 0, signal: null });
    });
  });
}
