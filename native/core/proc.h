// What /proc says of a task, proc(5). Fixed buffers only: these run in the opener for every request.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "core/result.h"
#include "core/unique_fd.h"
#include "monitor/protocol.h"

namespace perfbroker {

// /proc/PID/status and /proc/TID/status.
struct TaskStatus {
  int tgid = 0;
  uint32_t uid[4] = {};  // real, effective, saved, file system
  uint32_t gid[4] = {};
  uint32_t group_count = 0;  // supplementary
  uint64_t inheritable = 0, permitted = 0, effective = 0, bounding = 0, ambient = 0;
  uint32_t no_new_privs = 0, seccomp = 0;
  // The file belongs to the effective ids (a dumpable task's) and not to root. True for every task of root, whose
  // dumpability can not be told apart this way. Of the directory /proc/PID the owner tells nothing.
  bool dumpable = false;
};

// Reads the rest of an open file into `buffer`. EOVERFLOW when it does not fit.
Result<std::string_view> read_text(int fd, std::span<char> buffer);

// Parse one file's text; false when a field is missing or no number.
bool parse_status(std::string_view text, TaskStatus& status);
// Field 22 of stat, in clock ticks since boot. The name, field 2, may hold any character: `a) R 1 (` is one.
bool parse_start_time(std::string_view text, uint64_t& ticks);

// An open status file, which pins its task: when the task has ended the read fails with ESRCH even if the number
// has been given to another one since.
Result<TaskStatus> read_status(int status_fd);

// A process through its directory in /proc, which pins it in the same way.
Result<protocol::Identity> read_identity(int process_dir);

// Whether both have the same /proc/PID/uid_map: taken as "in the same user namespace". A namespace that maps every id
// to itself looks the same; only a privileged process can set one up.
bool same_user_namespace(int process_dir, int other_dir);

// The pid that a pidfd stands for, in the pid namespace of `proc_dir` (an fd of /proc). EBADF when it is no pidfd,
// ESRCH when the process has been reaped or lives outside of the namespace.
Result<int> pid_of_pidfd(int proc_dir, int pidfd);

}  // namespace perfbroker
