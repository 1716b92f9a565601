/** Under which uid root's collector runs: never under one of the daemon's. */
import { readFileSync, readdirSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { ALICE, launcher, run, start, unfit, userDirectory, type Setting } from './support.js';
import { startDaemon, withFile } from '../e2e/daemon.js';

const reason = unfit();
if (reason !== null) console.error(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

/** kFallbackCollector in native/launcher/collector.h */
const FALLBACK = 60914;
const BROKER = 60950;
const COLLECTOR = 60955;
/** The daemon's users, under other uids than where they do not exist. */
const DAEMON_USERS: Readonly<Record<string, number>> = {
  perfbroker: BROKER,
  'perfbroker-opener': 60951,
  'perfbroker-tracer': 60952,
  'perfbroker-bus': 60953,
};

function passwd(users: Readonly<Record<string, number>>): string {
  const lines = Object.entries(users).map(([name, uid]) => `${name}:x:${uid}:${uid}::/:/usr/sbin/nologin\n`);
  return `root:x:0:0::/root:/bin/sh\n${lines.join('')}`;
}

/** A daemon of these users, and root in a directory of its own, who sees the same. */
async function startWith(
  t: ExecutionContext,
  users: Readonly<Record<string, number>>,
): Promise<{ readonly setting: Setting; readonly broker: number }> {
  const text = passwd(users);
  const daemon = await startDaemon({ passwd: text });
  const { path, remove } = userDirectory(0);
  t.teardown(async () => {
    await daemon.stop();
    remove();
  });
  const before = withFile(daemon.directory, '/etc/passwd', text);
  return { setting: { cwd: path, socket: daemon.socket, before }, broker: daemon.parts.broker };
}

function uidsOf(pid: number | string): string {
  return /^Uid:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
}

const same = (uid: number): string => Array(4).fill(uid).join('\t');

/** Real, effective, saved and file system uid of the collector of a command of root's. */
async function collectorOf(setting: Setting): Promise<string> {
  const command = start(setting, launcher(), 'run', '--require', '-o', 'who.data', 'sh', '-c', 'echo here; sleep 0.4');
  await command.printed(/here/);
  const marker = `PERFBROKER_COLLECTOR=${command.child.pid} `;
  const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && environ(name).includes(marker));
  const uids = pid === undefined ? 'there is no collector' : uidsOf(pid);
  await command.ended;
  return uids;
}

function environ(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}

privileged("root's collector has a user of its own, which no process of the daemon has", async (t) => {
  const { setting, broker } = await startWith(t, { ...DAEMON_USERS, 'perfbroker-collector': COLLECTOR });
  t.is(uidsOf(broker), same(BROKER));
  t.is(await collectorOf(setting), same(COLLECTOR));
});

privileged(
  "where that user does not exist root's collector has a uid without a name, and not the broker's",
  async (t) => {
    const { setting, broker } = await startWith(t, DAEMON_USERS);
    t.is(uidsOf(broker), same(BROKER));
    t.is(await collectorOf(setting), same(FALLBACK));
  },
);

for (const [name, uid] of Object.entries({ root: 0, ...DAEMON_USERS })) {
  privileged(`a collector's user with the uid of ${name} is not taken`, async (t) => {
    const { setting } = await startWith(t, { ...DAEMON_USERS, 'perfbroker-collector': uid });
    t.is(await collectorOf(setting), same(FALLBACK));
  });
}

privileged(
  'where every possible uid of the collector belongs to the daemon, the command runs unprofiled',
  async (t) => {
    const cases: readonly (readonly [Readonly<Record<string, number>>, Readonly<Record<string, string>>, number])[] = [
      [{ ...DAEMON_USERS, perfbroker: FALLBACK }, {}, FALLBACK],
      [DAEMON_USERS, { SUDO_UID: String(BROKER), SUDO_GID: String(ALICE) }, BROKER],
      // The front end's where it does not exist.
      [DAEMON_USERS, { SUDO_UID: '60913', SUDO_GID: '60913' }, 60913],
    ];
    for (const [users, env, uid] of cases) {
      const { setting } = await startWith(t, users);
      const lax = await run({ ...setting, env }, '-o', 'who.data', 'echo', 'ran');
      t.is(lax.stdout, 'ran\n');
      t.regex(lax.stderr, new RegExp(`^perfbroker: echo runs unprofiled: .*uid.* ${uid}\\b.*perfbrokerd.*\\n$`));
      const strict = await run({ ...setting, env }, '--require', '-o', 'who.data', 'echo', 'ran');
      t.is(strict.code, 125);
      t.is(strict.stdout, '');
    }
  },
);
