#include "core/proc.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>

namespace perfbroker {

namespace {

// Enough for a status file with 5,000 supplementary groups; what is longer is refused.
char text_buffer[64 << 10];

// Takes the next number off `text`, after blanks.
template <typename T>
bool take_number(std::string_view& text, T& value, int base = 10) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return false;
  text.remove_prefix(start);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// Moves `text` behind the next line that begins with `name` and returns that line's value.
std::string_view take_line(std::string_view& text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

template <typename T>
bool take_field(std::string_view& text, std::string_view name, T& value, int base = 10) {
  std::string_view line = take_line(text, name);
  return take_number(line, value, base);
}

bool take_ids(std::string_view& text, std::string_view name, uint32_t (&ids)[4]) {
  std::string_view line = take_line(text, name);
  for (uint32_t& id : ids) {
    if (!take_number(line, id)) return false;
  }
  return true;
}

Result<UniqueFd> open_at(int directory, const char* path) {
  const int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return last_error("openat");
  return UniqueFd(fd);
}

}  // namespace

Result<std::string_view> read_text(int fd, std::span<char> buffer) {
  size_t length = 0;
  for (;;) {
    if (length == buffer.size()) return Error{EOVERFLOW, "read"};
    const ssize_t got = read(fd, buffer.data() + length, buffer.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return last_error("read");
    if (got == 0) return std::string_view(buffer.data(), length);
    length += static_cast<size_t>(got);
  }
}

bool parse_status(std::string_view text, TaskStatus& s) {
  // In the kernel's order, fs/proc/array.c. The name comes first, with its newlines escaped.
  if (!take_field(text, "Tgid:", s.tgid) || !take_ids(text, "Uid:", s.uid) ||
      !take_ids(text, "Gid:", s.gid)) {
    return false;
  }
  std::string_view groups = take_line(text, "Groups:");
  s.group_count = 0;
  for (uint32_t group; take_number(groups, group);) s.group_count++;
  return take_field(text, "CapInh:", s.inheritable, 16) &&
         take_field(text, "CapPrm:", s.permitted, 16) &&
         take_field(text, "CapEff:", s.effective, 16) &&
         take_field(text, "CapBnd:", s.bounding, 16) &&
         take_field(text, "CapAmb:", s.ambient, 16) &&
         take_field(text, "NoNewPrivs:", s.no_new_privs) &&
         take_field(text, "Seccomp:", s.seccomp);
}

bool parse_start_time(std::string_view text, uint64_t& ticks) {
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return false;
  text.remove_prefix(name_end + 1);
  for (int field = 3; field < 22; field++) {
    const size_t start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) return false;
    const size_t end = text.find(' ', start);
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end);
  }
  return take_number(text, ticks);
}

Result<TaskStatus> read_status(int status_fd) {
  struct stat owner;
  if (fstat(status_fd, &owner) != 0) return last_error("fstat");
  Result<std::string_view> text = read_text(status_fd, text_buffer);
  if (!text) return text.error();
  TaskStatus status;
  if (!parse_status(*text, status)) return Error{EPROTO, "read"};
  status.dumpable = owner.st_uid == status.uid[1] && owner.st_gid == status.gid[1];
  return status;
}

Result<protocol::Identity> read_identity(int process_dir) {
  Result<UniqueFd> status_fd = open_at(process_dir, "status");
  if (!status_fd) return status_fd.error();
  Result<TaskStatus> status = read_status(status_fd->get());
  if (!status) return status.error();
  Result<UniqueFd> stat_fd = open_at(process_dir, "stat");
  if (!stat_fd) return stat_fd.error();
  Result<std::string_view> text = read_text(stat_fd->get(), text_buffer);
  if (!text) return text.error();

  protocol::Identity identity{};
  if (!parse_start_time(*text, identity.start_time)) return Error{EPROTO, "read"};
  memcpy(identity.uid, status->uid, sizeof identity.uid);
  memcpy(identity.gid, status->gid, sizeof identity.gid);
  identity.permitted = status->permitted;
  identity.dumpable = status->dumpable ? 1 : 0;
  return identity;
}

bool same_user_namespace(int process_dir, int other_dir) {
  // 340 lines at most (UID_GID_MAP_MAX_EXTENTS) of at most 33 characters.
  static char texts[2][12 << 10];
  std::string_view maps[2];
  const int directories[2] = {process_dir, other_dir};
  for (int i = 0; i < 2; i++) {
    Result<UniqueFd> fd = open_at(directories[i], "uid_map");
    if (!fd) return false;
    Result<std::string_view> text = read_text(fd->get(), texts[i]);
    if (!text || text->empty()) return false;  // empty: a namespace that has no map yet
    maps[i] = *text;
  }
  return maps[0] == maps[1];
}

Result<int> pid_of_pidfd(int proc_dir, int pidfd) {
  char path[48];
  snprintf(path, sizeof path, "self/fd/%d", pidfd);
  char link[24];
  const ssize_t length = readlinkat(proc_dir, path, link, sizeof link);
  if (length < 0) return last_error("readlinkat");
  // The kernel's own names for it: a file system's paths begin with a slash. fdinfo alone would not do, as other
  // kinds of fd put names there that a user chose.
  const std::string_view name(link, static_cast<size_t>(length));
  if (name != "anon_inode:[pidfd]" && !name.starts_with("pidfd:[")) return Error{EBADF, "readlinkat"};

  snprintf(path, sizeof path, "self/fdinfo/%d", pidfd);
  const int fd = openat(proc_dir, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return last_error("openat");
  const UniqueFd info(fd);
  Result<std::string_view> text = read_text(info.get(), text_buffer);
  if (!text) return text.error();
  int pid = 0;
  if (!take_field(*text, "Pid:", pid)) return Error{EBADF, "read"};
  if (pid <= 0) return Error{ESRCH, "read"};
  return pid;
}

}  // namespace perfbroker
