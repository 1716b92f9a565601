import test from 'ava';
import { downgradeProcess, parseOrder } from '#dist/broker/methods/downgrade/order.js';
import type { DowngradeReply, TracerClient } from '#dist/broker/ipc/tracer.js';
import type { ProcessTarget } from '#dist/broker/processes/targets.js';
import type { Fd } from '#dist/native.js';
import { SubordinateUids } from '#dist/model/identity/subordinate_uids.js';
import type { Subject } from '#dist/model/identity/subject.js';

const SUBJECT: Subject = {
  pid: 4711,
  startTime: 1n,
  uid: 1000,
  gid: 1000,
  groups: [],
  permitted: 0n,
  sameUserNamespace: true,
  mayBeMany: false,
  asConnected: true,
  ownIds: true,
  dumpable: true,
  cgroup: '/',
  executable: '[x]',
};
const DOWNGRADED: DowngradeReply = { status: 'downgraded', detail: 0, tid: 0, stoppedMicroseconds: 1, threads: [] };
const FD = 0 as Fd;

/** A tracer that answers when its caller has been told that it is late. */
const late = {
  downgrade: (...[, , , , onLate]: Parameters<TracerClient['downgrade']>) => {
    onLate(DOWNGRADED);
    return Promise.reject(new Error('late'));
  },
} as unknown as TracerClient;

test('a downgrade that is finished too late for its caller is recorded, and a dry run is not', async (t) => {
  const target = {
    kind: 'process',
    fd: FD,
    tid: null,
    process: { pid: 1234, startTime: 1n, uids: [1000, 1000, 1000], sameUserNamespace: true },
  } as unknown as ProcessTarget;
  const records: unknown[] = [];
  const caller = { user: 1000, users: new SubordinateUids(), record: (record: unknown) => void records.push(record) };
  for (const dryRun of [true, false])
    await t.throwsAsync(
      downgradeProcess(late, caller, FD, target, parseOrder({ drop: ['CAP_PERFMON'], dryRun }, SUBJECT)),
      { message: 'late' },
    );
  t.deepEqual(records, [{ action: 'downgraded', verdict: 'allow', pid: 1234, threads: 0, late: true }]);
});
