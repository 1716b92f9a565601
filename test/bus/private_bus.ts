/**
 * A real dbus-daemon and a real polkitd on a "system" bus of their own, for one test: no systemd, no logind, and nothing of
 * the host is touched. Users, polkit's actions and rules are bind mounts in a private mount namespace, which ends with
 * its last process; several buses run side by side.
 */
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import dbus from 'dbus-next';

/** Users of the private namespace, by name: uid, and the names of the groups beside their own. */
export const USERS = {
  root: 0,
  perfbroker: 60910,
  'perfbroker-opener': 60911,
  'perfbroker-tracer': 60912,
  'perfbroker-bus': 60913,
  /** In the groups perfbroker and profilers. */
  member: 60123,
  outsider: 60124,
} as const;
export type User = keyof typeof USERS;
const GROUP_MEMBERS: Readonly<Record<string, { readonly gid: number; readonly members: string }>> = {
  perfbroker: { gid: 60910, members: 'member' },
  profilers: { gid: 60130, members: 'member' },
};

const ROOT = new URL('../../../', import.meta.url).pathname;
const POLKITD = '/usr/lib/polkit-1/polkitd';
const SYSTEM_CONF = '/usr/share/dbus-1/system.conf';
const POLKIT_CONF = '/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf';
const START_MS = 20_000;

export interface PrivateBusOptions {
  /** polkit .policy files, relative to the package. polkit's own actions are always there. */
  readonly actions?: readonly string[];
  /** Texts of polkit rules files, in order. Nothing of the host's rules applies. */
  readonly rules?: readonly string[];
  /** polkit rules files, relative to the package; they come after `rules`. */
  readonly ruleFiles?: readonly string[];
  /** D-Bus policy files (.conf), relative to the package. */
  readonly policyFiles?: readonly string[];
  /** Texts of D-Bus policy files. */
  readonly policies?: readonly string[];
  /** Texts of activation files, by the bus name; their Exec is started by dbus-daemon as root. */
  readonly services?: Readonly<Record<string, string>>;
  /** Without polkitd; `startPolkit` starts it later. */
  readonly polkit?: boolean;
}

export interface InsideOptions extends Omit<SpawnOptions, 'uid' | 'gid'> {
  /** With this user's groups, and no capability unless it is root. Default root. */
  readonly user?: User;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PrivateBus {
  /** `unix:path=…`; every command inside has it as DBUS_SYSTEM_BUS_ADDRESS. */
  readonly address: string;
  /** The bus's socket; for dbus-next: `unix:socket=${bus.path}`. */
  readonly path: string;
  /** Readable for every user, gone after the test. */
  readonly directory: string;
  /** A process inside; its pid is that of the command itself. Killed when the bus is closed, or when this process ends. */
  spawn(command: readonly string[], options?: InsideOptions): ChildProcess;
  /** Runs a command inside to its end. */
  run(command: readonly string[], options?: InsideOptions): Promise<Finished>;
  /** A connection of this process, as root; disconnected when the bus is closed. */
  connect(): Promise<dbus.MessageBus>;
  /** Resolves when polkit owns its name. */
  startPolkit(): Promise<void>;
  /** Resolves when polkitd is gone from the bus. */
  stopPolkit(signal?: NodeJS.Signals): Promise<void>;
  /** Pid of dbus-daemon. */
  readonly daemonPid: number;
  /** Pid of polkitd; null while it does not run. */
  readonly polkitPid: number | null;
  /** Output of dbus-daemon and polkitd. */
  log(): string;
  close(): Promise<void>;
}

/** Reason why there can be no private bus here, or null. */
export function noPrivateBus(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const tool of ['dbus-daemon', 'unshare', 'nsenter', 'setpriv'])
    if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) return `${tool} is not installed`;
  for (const file of [POLKITD, SYSTEM_CONF, POLKIT_CONF]) if (!existsSync(file)) return `there is no ${file}`;
  const probe = spawnSync('unshare', ['--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', 'none', '/mnt']);
  return probe.status === 0 ? null : `no mount in a private namespace: ${String(probe.stderr).trim()}`;
}

/** Starts the bus; it is closed when the test ends. */
export async function startPrivateBus(
  t: { teardown(cleanup: () => Promise<void>): void },
  options: PrivateBusOptions = {},
): Promise<PrivateBus> {
  const bus = new Bus();
  t.teardown(() => bus.close());
  await bus.start(options);
  return bus;
}

/** Bind mounts within the namespace, then waits until its standard input ends. */
const HOLDER = `
set -eu
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount --bind "$1/actions" /usr/share/polkit-1/actions
mount --bind "$1/rules" /etc/polkit-1/rules.d
for other in /usr/share/polkit-1/rules.d /run/polkit-1/rules.d /usr/local/share/polkit-1/rules.d; do
  if [ -d "$other" ]; then mount --bind "$1/none" "$other"; fi
done
echo ready
cat >/dev/null # until the process that started this closes it, or ends
rm -rf "$1"
`;

class Bus implements PrivateBus {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'perfbroker-bus-'));
  readonly path: string = join(this.directory, 'bus');
  readonly address: string = `unix:path=${this.path}`;
  readonly #children = new Set<ChildProcess>();
  readonly #connections = new Set<dbus.MessageBus>();
  #holder: ChildProcess | null = null;
  #daemon: ChildProcess | null = null;
  #polkit: ChildProcess | null = null;
  #watcher: dbus.MessageBus | null = null;
  #log = '';

  get daemonPid(): number {
    const pid = this.#daemon?.pid;
    if (pid === undefined) throw new Error('the private bus does not run');
    return pid;
  }

  get polkitPid(): number | null {
    return this.#polkit?.pid ?? null;
  }

  log(): string {
    return this.#log;
  }

  async start(options: PrivateBusOptions): Promise<void> {
    chmodSync(this.directory, 0o755);
    this.#writeUsers();
    this.#writePolkitFiles(options);
    const configuration = this.#writeBusConfiguration(options);

    this.#holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', HOLDER, 'sh', this.directory], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await this.#said(this.#holder, /ready/);

    const daemon = this.spawn(
      ['dbus-daemon', `--config-file=${configuration}`, '--nofork', '--nopidfile', '--print-address=1'],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#daemon = daemon;
    await this.#said(daemon, /unix:/);
    this.#watcher = await this.connect();
    if (options.polkit !== false) await this.startPolkit();
  }

  spawn(command: readonly string[], { user = 'root', env, ...rest }: InsideOptions = {}): ChildProcess {
    const holder = this.#holder?.pid;
    if (holder === undefined) throw new Error('the private bus does not run');
    const uid = USERS[user];
    const identity = uid === 0 ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--init-groups'];
    const child = spawn(
      'nsenter',
      [`--mount=/proc/${holder}/ns/mnt`, '--', 'setpriv', ...identity, '--pdeathsig=KILL', '--', ...command],
      {
        cwd: '/',
        ...rest,
        env: {
          PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
          DBUS_SYSTEM_BUS_ADDRESS: this.address,
          ...env,
        },
      },
    );
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  run(command: readonly string[], options: InsideOptions = {}): Promise<Finished> {
    const child = this.spawn(command, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
  }

  connect(): Promise<dbus.MessageBus> {
    const bus = dbus.sessionBus({ busAddress: `unix:socket=${this.path}` });
    this.#connections.add(bus);
    return new Promise((resolve, reject) => {
      bus.on('error', reject); // stays: an error after `close` is ignored
      bus.once('connect', () => resolve(bus));
    });
  }

  async startPolkit(): Promise<void> {
    const polkit = this.spawn([POLKITD, '--no-debug'], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#polkit = polkit;
    polkit.once('close', () => {
      if (this.#polkit === polkit) this.#polkit = null;
    });
    for (const stream of [polkit.stdout, polkit.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
    await this.#polkitOwnsName(true);
  }

  async stopPolkit(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const polkit = this.#polkit;
    if (polkit === null) return;
    await ended(polkit, signal);
    await this.#polkitOwnsName(false);
  }

  async close(): Promise<void> {
    for (const bus of this.#connections) bus.disconnect();
    await Promise.all([...this.#children].map((child) => ended(child, 'SIGKILL')));
    if (this.#holder !== null) await ended(this.#holder, 'SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  #writeUsers(): void {
    const names = new Set<string>([...Object.keys(USERS), ...Object.keys(GROUP_MEMBERS)]);
    names.delete('root');
    const others = (file: string): string[] =>
      readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !names.has(line.slice(0, line.indexOf(':'))));
    const added = Object.entries(USERS).filter(([name]) => name !== 'root');
    const passwd = added.map(([name, uid]) => `${name}:x:${uid}:${uid}::/nonexistent:/bin/sh`);
    const group = [
      ...added.filter(([name]) => GROUP_MEMBERS[name] === undefined).map(([name, uid]) => `${name}:x:${uid}:`),
      ...Object.entries(GROUP_MEMBERS).map(([name, { gid, members }]) => `${name}:x:${gid}:${members}`),
    ];
    writeFileSync(join(this.directory, 'passwd'), [...others('/etc/passwd'), ...passwd, ''].join('\n'), {
      mode: 0o644,
    });
    writeFileSync(join(this.directory, 'group'), [...others('/etc/group'), ...group, ''].join('\n'), { mode: 0o644 });
  }

  #writePolkitFiles({ actions = [], rules = [], ruleFiles = [] }: PrivateBusOptions): void {
    for (const folder of ['actions', 'rules', 'none', 'system.d', 'services']) mkdirSync(join(this.directory, folder));
    const own = '/usr/share/polkit-1/actions/org.freedesktop.policykit.policy';
    for (const file of [...(existsSync(own) ? [own] : []), ...actions.map((each) => join(ROOT, each))])
      copyFileSync(file, join(this.directory, 'actions', basename(file)));
    const texts = [...rules, ...ruleFiles.map((each) => readFileSync(join(ROOT, each), 'utf8'))];
    for (const [index, text] of texts.entries())
      writeFileSync(join(this.directory, 'rules', `${10 + index}-test.rules`), text, { mode: 0o644 });
  }

  /**
   * Debian's configuration of the system bus, but: no user, no fork, no setuid helper, its own folders, and time enough to
   * log in on a busy machine (5 s otherwise).
   */
  #writeBusConfiguration({ policyFiles = [], policies = [], services = {} }: PrivateBusOptions): string {
    const folder = join(this.directory, 'system.d');
    for (const file of [POLKIT_CONF, ...policyFiles.map((each) => join(ROOT, each))])
      copyFileSync(file, join(folder, basename(file)));
    for (const [index, text] of policies.entries()) writeFileSync(join(folder, `test-${index}.conf`), text);
    for (const [name, text] of Object.entries(services))
      writeFileSync(join(this.directory, 'services', `${name}.service`), text);
    const file = join(this.directory, 'bus.conf');
    const text = readFileSync(SYSTEM_CONF, 'utf8')
      .replaceAll(/<(user|pidfile|servicehelper)>.*<\/\1>|<fork\/>|<syslog\/>|<include .*<\/include>/g, '')
      .replaceAll(/<includedir>\/etc.*<\/includedir>/g, '')
      .replace('<standard_system_servicedirs/>', `<servicedir>${join(this.directory, 'services')}</servicedir>`)
      .replace(/<listen>.*<\/listen>/, `<listen>${this.address}</listen>`)
      .replace('<includedir>system.d</includedir>', `<includedir>${folder}</includedir>`)
      .replace('</busconfig>', '<limit name="auth_timeout">60000</limit></busconfig>');
    writeFileSync(file, text);
    return file;
  }

  /** Waits until the process printed `pattern` on its standard output, which (with stderr) goes to the log. */
  #said(child: ChildProcess, pattern: RegExp): Promise<void> {
    return new Promise((resolve, reject) => {
      let output = '';
      const look = (chunk: Buffer): void => {
        output += chunk.toString();
        this.#log += chunk.toString();
        if (pattern.test(output)) resolve();
      };
      child.stdout?.on('data', look);
      child.stderr?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
      child.once('error', reject);
      child.once('close', (code, signal) =>
        reject(new Error(`${child.spawnargs.join(' ')} ended (${code ?? signal}): ${this.#log}`)),
      );
    });
  }

  async #polkitOwnsName(wanted: boolean): Promise<void> {
    const deadline = Date.now() + START_MS;
    for (;;) {
      const reply = await this.#watcher?.call(
        new dbus.Message({
          destination: 'org.freedesktop.DBus',
          path: '/org/freedesktop/DBus',
          interface: 'org.freedesktop.DBus',
          member: 'NameHasOwner',
          signature: 's',
          body: ['org.freedesktop.PolicyKit1'],
        }),
      );
      if (reply?.body[0] === wanted) return;
      if (wanted && this.#polkit === null) throw new Error(`polkitd ended: ${this.#log}`);
      if (Date.now() > deadline) throw new Error(`polkitd did not ${wanted ? 'come' : 'go'}: ${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Resolves when the process is gone, asked by `signal`. */
function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}
