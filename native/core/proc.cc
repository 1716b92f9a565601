#include "core/proc.h"

namespace perfbroker {

char text_buffer[64 << 10];

bool read_text(int fd, std::string_view& text, std::span<char> buffer) {
  size_t length = 0;
  for (ssize_t got; (got = read(fd, buffer.data() + length, buffer.size() - length)) != 0;) {
    if (got < 0) return false;
    length += static_cast<size_t>(got);
  }
  text = {buffer.data(), length};
  errno = EOVERFLOW;
  return length < buffer.size();
}

bool read_file(int directory, const char* path, std::string_view& text, std::span<char> buffer) {
  const UniqueFd file(openat(directory, path, O_RDONLY | O_CLOEXEC));
  return file && read_text(file.get(), text, buffer);
}

std::string_view take_line(std::string_view& text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

// In the kernel's order (fs/proc/array.c). The name comes first, with its newlines escaped.
bool parse_status(std::string_view text, TaskStatus& s) {
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

bool read_status(int status_fd, TaskStatus& status) {
  struct stat owner;
  std::string_view text;
  if (fstat(status_fd, &owner) != 0 || !read_text(status_fd, text)) return false;
  errno = EPROTO;
  const bool parsed = parse_status(text, status);
  status.dumpable = parsed && owner.st_uid == status.uid[1] && owner.st_gid == status.gid[1];
  return parsed;
}

bool read_leader_stat(int process_dir, int pid, std::string_view& text) {
  char path[32];
  snprintf(path, sizeof path, "task/%d/stat", pid);
  return read_file(process_dir, path, text);
}

bool read_identity(int process_dir, protocol::Identity& identity) {
  TaskStatus status;
  std::string_view text;
  const UniqueFd file(openat(process_dir, "status", O_RDONLY | O_CLOEXEC));
  if (!file || !read_status(file.get(), status)) return false;
  if (!read_leader_stat(process_dir, status.tgid, text)) return false;
  identity = {};
  memcpy(identity.uid, status.uid, sizeof identity.uid);
  memcpy(identity.gid, status.gid, sizeof identity.gid);
  identity.permitted = status.caps[kPermitted];
  identity.dumpable = status.dumpable ? 1 : 0;
  return parse_start_time(text, identity.start_time);
}

bool in_own_user_namespace(int proc_dir, int process_dir) {
  // At most 340 lines (UID_GID_MAP_MAX_EXTENTS) of 33 characters. Kept: this process never changes
  // its namespace, and a map is written once. A namespace that has no map yet has an empty one.
  static char own_text[12 << 10];
  static std::string_view own;
  std::string_view theirs;
  if (own.empty() && !read_file(proc_dir, "self/uid_map", own, own_text)) return false;
  return read_file(process_dir, "uid_map", theirs) && !theirs.empty() && own == theirs;
}

int list_tasks(int task_dir, std::span<pid_t> tids) {
  // A large buffer: the kernel can lose its place in the list when a thread ends between two calls.
  alignas(dirent64) static char entries[128 << 10];
  const UniqueFd directory(openat(task_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  size_t count = 0;
  ssize_t size;
  while ((size = getdents64(directory.get(), entries, sizeof entries)) > 0) {
    const dirent64* entry;
    for (ssize_t offset = 0; offset < size; offset += entry->d_reclen) {
      entry = reinterpret_cast<const dirent64*>(entries + offset);
      if (entry->d_name[0] == '.') continue;
      errno = E2BIG;
      if (count == tids.size()) return -1;
      tids[count] = 0;
      std::string_view name(entry->d_name);
      take_number(name, tids[count++]);
    }
  }
  return size < 0 ? -1 : static_cast<int>(count);
}

bool pidfd_alive(int pidfd) {
  pollfd poller{pidfd, POLLIN, 0};
  const timespec at_once{};
  return ppoll(&poller, 1, &at_once, nullptr) == 0;
}

bool open_process(int proc_dir, int pidfd, Process& process) {
  char path[48], link[24];
  snprintf(path, sizeof path, "self/fd/%d", pidfd);
  // Names that only the kernel gives: paths in a file system begin with a slash. fdinfo alone would
  // not prove it, as other kinds of fd show names there that a user chose.
  const ssize_t length = readlinkat(proc_dir, path, link, sizeof link);
  const std::string_view name(link, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  errno = EBADF;
  if (name != "anon_inode:[pidfd]" && !name.starts_with("pidfd:[")) return false;
  snprintf(path, sizeof path, "self/fdinfo/%d", pidfd);
  std::string_view text;
  if (!read_file(proc_dir, path, text)) return false;
  errno = EBADF;
  if (!take_field(text, "Pid:", &process.pid, 1)) return false;
  snprintf(path, sizeof path, "%d", process.pid);
  if (process.pid > 0)
    process.directory.reset(openat(proc_dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  errno = ESRCH;
  return process.directory && pidfd_alive(pidfd);
}

}  // namespace perfbroker
