/** The subject of the audit records in these tests. */
import type { Subject } from '#dist/model/identity/subject.js';

export const SUBJECT: Subject = {
  pid: 7,
  startTime: 99n,
  uid: 1000,
  gid: 100,
  groups: [],
  permitted: 0n,
  sameUserNamespace: true,
  mayBeMany: false,
  asConnected: true,
  ownIds: true,
  dumpable: true,
  cgroup: '/user.slice',
  executable: '/usr/bin/perf',
};
