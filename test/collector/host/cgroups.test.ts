import test from 'ava';
import { cgroupPath, cgroupRoot } from '#dist/collector/host/cgroups.js';

test('a cgroup is given as a directory or as in /proc/PID/cgroup, in the hierarchy that events follow', (t) => {
  const v1 = 'cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/perf cgroup rw,perf_event 0 0\n';
  t.is(cgroupRoot(`${v1}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n`), '/sys/fs/cgroup/perf');
  t.is(cgroupRoot('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n'), '/sys/fs/cgroup');
  t.is(cgroupPath('/user.slice', '/sys/fs/cgroup'), '/sys/fs/cgroup/user.slice');
  t.is(cgroupPath('/sys/fs/cgroup/user.slice', '/sys/fs/cgroup'), '/sys/fs/cgroup/user.slice');
});
