// Facts about tasks from /proc, proc(5). Fixed buffers only: the opener reads them for every
// request. Functions that return bool leave the reason in errno.
#pragma once

#include "core/linux.h"
#include "protocol/opener.h"

namespace perfbroker {

// Enough for a status file with 5,000 supplementary groups. Longer files are refused.
extern char text_buffer[64 << 10];

// Reads the rest of an open file. EOVERFLOW when it does not fit.
bool read_text(int fd, std::string_view& text, std::span<char> buffer = text_buffer);
bool read_file(
    int directory, const char* path, std::string_view& text, std::span<char> buffer = text_buffer);

// Takes the next number off `text`, after blanks.
template <typename T>
bool take_number(std::string_view& text, T& value, int base = 10) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc{};
}

// Moves `text` behind the next line that begins with `name` and returns the rest of that line.
std::string_view take_line(std::string_view& text, std::string_view name);

template <typename T>
bool take_field(
    std::string_view& text, std::string_view name, T* values, size_t count, int base = 10) {
  std::string_view line = take_line(text, name);
  return std::all_of(
      values, values + count, [&](T& value) { return take_number(line, value, base); });
}

// One field of a stat file. The name, field 2, may hold any character: `a) R 1 (` is one.
template <typename T>
bool parse_stat_field(std::string_view text, int number, T& value) {
  text.remove_prefix(std::min(text.rfind(')'), text.size()));
  for (int field = 2; field < number; field++)
    text.remove_prefix(std::min(text.find(' ', 1), text.size()));
  return take_number(text, value);
}

// Clock ticks since boot.
inline bool parse_start_time(std::string_view stat, uint64_t& ticks) {
  return parse_stat_field(stat, 22, ticks);
}

enum CapSet { kInheritable, kPermitted, kEffective, kBounding, kAmbient };

// /proc/PID/status and /proc/TID/status.
struct TaskStatus {
  int tgid;
  uint32_t uid[4], gid[4], group_count;  // real, effective, saved, file system; supplementary
  uint64_t caps[5];                      // by CapSet
  uint32_t no_new_privs, seccomp;
  // The file belongs to the effective ids (a dumpable task's) and not to root. Always true for a
  // task of root, whose dumpability is not visible here. The owner of the directory /proc/PID does
  // not depend on dumpability.
  bool dumpable;
};

// False when a field is missing or is not a number.
bool parse_status(std::string_view text, TaskStatus& status);

// Reads an open status file. It pins its task: once the task has ended the read fails with ESRCH,
// even if another task has its number by then.
bool read_status(int status_fd, TaskStatus& status);

// Reads the stat file of a process's first thread. /proc/PID/stat has the same start time and
// flags, but sums the times of every thread: 18 ms for 30,000 threads (do_task_stat,
// fs/proc/array.c, Linux 6.18).
bool read_leader_stat(int process_dir, int pid, std::string_view& text);

// Reads a process through its directory in /proc, which pins it in the same way.
bool read_identity(int process_dir, protocol::Identity& identity);

// True when the process has the same uid_map as this one, which counts as the same user namespace.
// A namespace that maps every id to itself looks the same, but only a privileged process can set
// one up. `proc_dir`: /proc.
bool in_own_user_namespace(int proc_dir, int process_dir);

// Lists /proc/PID/task. Returns how many there are, or -1 with errno: E2BIG when `tids` is too
// small.
int list_tasks(int task_dir, std::span<pid_t> tids);

// False for a zombie, and on errors.
bool pidfd_alive(int pidfd);

// `directory`: /proc/PID.
struct Process {
  int pid = 0;
  UniqueFd directory;
};

// Finds the process of a pidfd. EBADF when the fd is not a pidfd; ESRCH when the process has ended
// or lives outside of this pid namespace. The directory is proven to belong to that process: the
// process was alive, and so had its number, after the directory was opened.
bool open_process(int proc_dir, int pidfd, Process& process);

}  // namespace perfbroker
