#include "monitor/process.h"

#include <fcntl.h>
#include <poll.h>

#include <cstdio>

namespace perfbroker {

Result<Process> open_process(int proc_dir, int pidfd) {
  Result<int> pid = pid_of_pidfd(proc_dir, pidfd);
  if (!pid) return pid.error();
  char name[16];
  snprintf(name, sizeof name, "%d", *pid);
  const int directory = openat(proc_dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (directory < 0) return Error{errno == ENOENT ? ESRCH : errno, "openat"};
  Process process{*pid, UniqueFd(directory)};
  if (!pidfd_alive(pidfd)) return Error{ESRCH, "poll"};
  return process;
}

bool pidfd_alive(int pidfd) {
  pollfd poller{pidfd, POLLIN, 0};
  return poll(&poller, 1, 0) == 0;
}

}  // namespace perfbroker
