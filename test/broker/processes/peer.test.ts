import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { describePeer, gone, vetPeer, type SpeakingIds } from '#dist/broker/processes/peer.js';
import type { CallerFacts } from '#dist/broker/processes/proc.js';
import type { Subject } from '#dist/model/identity/subject.js';
import { SubordinateUids } from '#dist/model/identity/subordinate_uids.js';
import { native, type NativeBinding } from '#dist/native.js';

const ALICE = 60123;
const GROUP = 61099;
const privileged = process.getuid?.() === 0 ? test : test.skip;

/** Subject for a process whose connection has these ids. */
function subjectOf(pid: number, idsOf: (facts: CallerFacts) => SpeakingIds): Subject {
  const pidfd = native.pidfdOpen(pid);
  try {
    return describePeer(pid, pidfd, new SubordinateUids(), idsOf).subject;
  } finally {
    native.close(pidfd);
  }
}

/** Starts a program with ids by setpriv(1), and resolves when it runs. */
async function sleeperWith(t: ExecutionContext, ...ids: readonly string[]): Promise<number> {
  const child = spawn('setpriv', [...ids, 'sleep', '60'], { cwd: '/', stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  while (!readFileSync(`/proc/${child.pid}/status`, 'utf8').startsWith('Name:\tsleep\n'))
    await new Promise((resolve) => setTimeout(resolve, 10));
  return child.pid!;
}

const realIds = ({ uids: [uid], gids: [gid], groups }: CallerFacts): SpeakingIds => ({ uid, gid, groups });
const effectiveIds = ({ uids: [, uid], gids: [, gid], groups }: CallerFacts): SpeakingIds => ({ uid, gid, groups });

test('a process that connects has the ids of its connection', (t) => {
  const [ours, theirs] = native.socketPair('stream');
  try {
    const { subject } = vetPeer(ours, new SubordinateUids());
    t.like(subject, { pid: process.pid, uid: process.geteuid!(), gid: process.getegid!(), asConnected: true });
  } finally {
    native.close(ours);
    native.close(theirs);
  }
});

/** Has vetPeer see a connection of this process with these functions of the addon in place of its own. */
function vetWith(replaced: Partial<Pick<NativeBinding, 'peerCredentials' | 'pidfdOpen'>>): void {
  const own = { ...native };
  const [ours, theirs] = native.socketPair('stream');
  try {
    Object.assign(native, replaced);
    vetPeer(ours, new SubordinateUids());
  } finally {
    Object.assign(native, own);
    native.close(ours);
    native.close(theirs);
  }
}

test.serial('a process that has left the uid of its connection is advised to connect again', (t) => {
  const own = { ...native };
  const peerOf = (socket: number) => {
    const credentials = own.peerCredentials(socket);
    return { ...credentials, uid: credentials.uid + 1 };
  };
  const error = t.throws(() => vetWith({ peerCredentials: peerOf }));
  t.like(error, {
    error: 'PolicyDenied',
    code: 'access',
    message: 'the process of the caller has other uids or gids than its connection',
    remedy: 'Connect to the broker again after every change of ids.',
    details: { reasons: [] },
  });
});

test.serial('without SO_PEERPIDFD only ESRCH means that the caller has ended', (t) => {
  const peerCredentials: NativeBinding['peerCredentials'] = () => ({
    pid: process.pid,
    uid: process.geteuid!(),
    gid: process.getegid!(),
    groups: [],
    pidfd: 'unsupported',
  });
  const vetAfter = (code: string): Error | undefined =>
    t.throws(() =>
      vetWith({
        peerCredentials,
        pidfdOpen: () => {
          throw Object.assign(new Error(code), { code });
        },
      }),
    );
  t.like(vetAfter('ESRCH'), { error: 'TargetGone', code: 'client-gone' });
  t.like(vetAfter('EMFILE'), { code: 'EMFILE' });
});

test('a caller whose pid the kernel no longer reports is named without one', (t) => {
  t.is(gone(77).message, 'the caller (pid 77) ended while it was being identified');
  t.is(gone(null).message, 'the caller ended while it was being identified');
});

test('neither the order of the groups nor a group that is listed twice matters', (t) => {
  const more = (facts: CallerFacts): SpeakingIds => ({
    ...realIds(facts),
    groups: [...facts.groups, ...facts.groups].reverse(),
  });
  t.true(subjectOf(process.pid, more).asConnected);
});

for (const [what, change] of Object.entries<(ids: SpeakingIds) => Partial<SpeakingIds>>({
  'another uid': ({ uid }) => ({ uid: uid + 1 }),
  'another gid': ({ gid }) => ({ gid: gid + 1 }),
  'one group more': ({ groups }) => ({ groups: [...groups, GROUP] }),
}))
  test(`a process whose connection has ${what} has other ids, and its capabilities do not count`, (t) => {
    const changed = (facts: CallerFacts): SpeakingIds => ({ ...realIds(facts), ...change(realIds(facts)) });
    t.like(subjectOf(process.pid, changed), { asConnected: false, permitted: 0n });
  });

privileged('a process that has a group which its connection does not have has other ids', async (t) => {
  const pid = await sleeperWith(t, `--reuid=${ALICE}`, `--regid=${ALICE}`, `--groups=${ALICE},${GROUP}`);
  t.true(subjectOf(pid, realIds).asConnected);
  t.false(subjectOf(pid, (facts) => ({ ...realIds(facts), groups: [] })).asConnected);
  t.false(subjectOf(pid, (facts) => ({ ...realIds(facts), groups: [ALICE] })).asConnected);
});

for (const [kind, ...ids] of [
  ['setuid', `--euid=${ALICE}`, '--clear-groups'],
  ['setgid', `--egid=${GROUP}`, '--clear-groups'],
] as const)
  privileged(`a ${kind} program has other ids than its connection, by its real and by its effective ids`, async (t) => {
    const pid = await sleeperWith(t, ...ids);
    t.false(subjectOf(pid, realIds).asConnected);
    t.false(subjectOf(pid, effectiveIds).asConnected);
  });
