// What /proc says of a task, proc(5). Fixed buffers only: these run in the opener for every
// request. What returns bool leaves the reason in errno.
#pragma once

#include "core/linux.h"
#include "protocol/opener.h"

namespace perfbroker {

// Enough for a status file with 5,000 supplementary groups; what is longer is refused.
inline char text_buffer[64 << 10];

// Reads the rest of an open file. EOVERFLOW when it does not fit.
inline bool read_text(int fd, std::span<char> buffer, std::string_view& text) {
  size_t length = 0;
  for (ssize_t got; (got = read(fd, buffer.data() + length, buffer.size() - length)) != 0;) {
    if (got < 0) return false;
    length += static_cast<size_t>(got);
  }
  text = {buffer.data(), length};
  errno = EOVERFLOW;
  return length < buffer.size();
}

inline bool read_file(
    int directory, const char* path, std::span<char> buffer, std::string_view& text) {
  const UniqueFd file(openat(directory, path, O_RDONLY | O_CLOEXEC));
  return file && read_text(file.get(), buffer, text);
}

// Takes the next number off `text`, after blanks.
template <typename T>
bool take_number(std::string_view& text, T& value, int base = 10) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc{};
}

// Moves `text` behind the next line that begins with `name` and returns that line's value.
inline std::string_view take_line(std::string_view& text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

template <typename T>
bool take_field(
    std::string_view& text, std::string_view name, T* values, size_t count, int base = 10) {
  std::string_view line = take_line(text, name);
  return std::all_of(
      values, values + count, [&](T& value) { return take_number(line, value, base); });
}

// /proc/PID/status and /proc/TID/status.
struct TaskStatus {
  int tgid;
  uint32_t uid[4], gid[4], group_count;  // real, effective, saved, file system; supplementary
  uint64_t caps[5];                      // by CapSet
  uint32_t no_new_privs, seccomp;
  // The file belongs to the effective ids (a dumpable task's) and not to root. True for every task
  // of root, whose dumpability can not be told apart this way. Of the directory /proc/PID the owner
  // tells nothing.
  bool dumpable;
};
enum CapSet { kInheritable, kPermitted, kEffective, kBounding, kAmbient };

// False when a field is missing or no number. In the kernel's order (fs/proc/array.c); the name
// comes first, with its newlines escaped.
inline bool parse_status(std::string_view text, TaskStatus& s) {
  if (!take_field(text, "Tgid:", &s.tgid, 1) || !take_field(text, "Uid:", s.uid, 4)) return false;
  if (!take_field(text, "Gid:", s.gid, 4)) return false;
  std::string_view groups = take_line(text, "Groups:");
  s.group_count = 0;
  for (uint32_t group; take_number(groups, group);) s.group_count++;
  constexpr const char* sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
  for (size_t i = 0; i < std::size(sets); i++) {
    if (!take_field(text, sets[i], &s.caps[i], 1, 16)) return false;
  }
  return take_field(text, "NoNewPrivs:", &s.no_new_privs, 1) &&
         take_field(text, "Seccomp:", &s.seccomp, 1);
}

// Field 22 of stat, in clock ticks since boot. The name, field 2, may hold any character: `a) R 1
// (` is one.
inline bool parse_start_time(std::string_view text, uint64_t& ticks) {
  text.remove_prefix(std::min(text.rfind(')'), text.size()));
  for (int field = 2; field < 22; field++)
    text.remove_prefix(std::min(text.find(' ', 1), text.size()));
  return take_number(text, ticks);
}

// An open status file, which pins its task: when the task has ended the read fails with ESRCH even
// if the number has been given to another one since.
inline bool read_status(int status_fd, TaskStatus& status) {
  struct stat owner;
  std::string_view text;
  if (fstat(status_fd, &owner) != 0 || !read_text(status_fd, text_buffer, text)) return false;
  errno = EPROTO;
  const bool parsed = parse_status(text, status);
  status.dumpable = parsed && owner.st_uid == status.uid[1] && owner.st_gid == status.gid[1];
  return parsed;
}

// The stat file of a process's first thread. /proc/PID/stat has the same start time and flags, but
// sums the times of every thread for it: 18 ms for 30,000 threads (do_task_stat, fs/proc/array.c,
// Linux 6.18).
inline bool read_leader_stat(int process_dir, int pid, std::string_view& text) {
  char path[32];
  snprintf(path, sizeof path, "task/%d/stat", pid);
  return read_file(process_dir, path, text_buffer, text);
}

// A process through its directory in /proc, which pins it in the same way.
inline bool read_identity(int process_dir, protocol::Identity& identity) {
  TaskStatus status;
  std::string_view text;
  const UniqueFd status_fd(openat(process_dir, "status", O_RDONLY | O_CLOEXEC));
  if (!status_fd || !read_status(status_fd.get(), status) ||
      !read_leader_stat(process_dir, status.tgid, text))
    return false;
  identity = {};
  memcpy(identity.uid, status.uid, sizeof identity.uid);
  memcpy(identity.gid, status.gid, sizeof identity.gid);
  identity.permitted = status.caps[kPermitted];
  identity.dumpable = status.dumpable ? 1 : 0;
  return parse_start_time(text, identity.start_time);
}

// Whether it has the same uid_map as this process: taken as "in the same user namespace". A
// namespace that maps every id to itself looks the same; only a privileged process can set one up.
// `proc_dir`: an fd of /proc.
inline bool in_own_user_namespace(int proc_dir, int process_dir) {
  // 340 lines at most (UID_GID_MAP_MAX_EXTENTS) of 33 characters. Kept: no part changes its
  // namespace, and a map is written once. Empty: a namespace that has no map yet.
  static struct {
    char text[12 << 10];
    std::string_view map;
  } own;
  std::string_view theirs;
  return (!own.map.empty() || read_file(proc_dir, "self/uid_map", own.text, own.map)) &&
         read_file(process_dir, "uid_map", text_buffer, theirs) && !theirs.empty() &&
         own.map == theirs;
}

// Not even a zombie. False also on errors.
inline bool pidfd_alive(int pidfd) {
  pollfd poller{pidfd, POLLIN, 0};
  const timespec at_once{};
  return ppoll(&poller, 1, &at_once, nullptr) == 0;
}

// `directory`: /proc/PID.
struct Process {
  int pid = 0;
  UniqueFd directory;
};

// The process of a pidfd. EBADF when it is no pidfd; ESRCH when the process has ended or lives
// outside of this pid namespace. The directory is proven to be that process's: it was alive, and so
// had its number, after the directory was opened.
inline bool open_process(int proc_dir, int pidfd, Process& process) {
  char path[48], link[24];
  snprintf(path, sizeof path, "self/fd/%d", pidfd);
  // The kernel's own names for it: a file system's paths begin with a slash. fdinfo alone would not
  // do, as other kinds of fd put names there that a user chose.
  const ssize_t length = readlinkat(proc_dir, path, link, sizeof link);
  const std::string_view name(link, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  errno = EBADF;
  if (name != "anon_inode:[pidfd]" && !name.starts_with("pidfd:[")) return false;
  snprintf(path, sizeof path, "self/fdinfo/%d", pidfd);
  std::string_view text;
  if (!read_file(proc_dir, path, text_buffer, text)) return false;
  errno = EBADF;
  if (!take_field(text, "Pid:", &process.pid, 1)) return false;
  snprintf(path, sizeof path, "%d", process.pid);
  if (process.pid > 0)
    process.directory.reset(openat(proc_dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  errno = ESRCH;
  return process.directory && pidfd_alive(pidfd);
}

}  // namespace perfbroker
