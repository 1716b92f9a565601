// A process that a pidfd pins, through /proc.
#pragma once

#include "core/proc.h"

namespace perfbroker {

struct Process {
  int pid = 0;
  UniqueFd directory;  // /proc/PID
};

// EBADF: no pidfd of a process. ESRCH: it has ended. The directory is proven to be that of the pidfd's process: the
// process was alive, and so had its number, after the directory was opened.
Result<Process> open_process(int proc_dir, int pidfd);

// Not even a zombie. False also on errors.
bool pidfd_alive(int pidfd);

}  // namespace perfbroker
