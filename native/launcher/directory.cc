#include "launcher/directory.h"

#include <climits>

#include "core/linux.h"

namespace perfbroker {
namespace {

constexpr int kMaxLinks = 40;  // as path_resolution(7)
constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// True when root owns both, and no other user may replace the link: in a sticky directory only the
// owner of a file may rename it.
bool is_roots_link(int directory, const struct stat& link) {
  struct stat holder;
  if (fstat(directory, &holder) != 0) return false;
  const bool is_closed =
      (holder.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (holder.st_mode & S_ISVTX) != 0;
  return link.st_uid == 0 && holder.st_uid == 0 && is_closed;
}

// Target of the link `name` in `directory`; empty: errno.
std::string read_roots_link(int directory, const char* name) {
  const UniqueFd link(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status;
  if (!link || fstat(link.get(), &status) != 0) return "";
  errno = ENOTDIR;
  if (!S_ISLNK(status.st_mode)) return "";
  errno = ELOOP;
  if (!is_roots_link(directory, status)) return "";
  char target[PATH_MAX];
  const ssize_t length = readlinkat(link.get(), "", target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<size_t>(length));
}

// The first component of `path`, which loses it; empty when there is none.
std::string take_component(std::string& path) {
  const size_t start = std::min(path.find_first_not_of('/'), path.size());
  const size_t end = std::min(path.find('/', start), path.size());
  std::string name = path.substr(start, end - start);
  path.erase(0, end);
  return name;
}

UniqueFd open_start(const std::string& path) {
  return UniqueFd(open(path.starts_with('/') ? "/" : ".", kDirectory));
}

}  // namespace

UniqueFd open_directory_of(const std::string& path) {
  std::string rest = path.substr(0, path.size() - name_of(path).size());
  UniqueFd directory = open_start(rest);
  int links = 0;
  for (std::string name = take_component(rest); directory && !name.empty();
       name = take_component(rest)) {
    UniqueFd next(openat(directory.get(), name.c_str(), kDirectory));
    if (!next && (errno == ENOTDIR || errno == ELOOP)) {
      const std::string target = read_roots_link(directory.get(), name.c_str());
      if (target.empty()) return UniqueFd();
      if (++links > kMaxLinks) {
        errno = ELOOP;
        return UniqueFd();
      }
      rest = target + "/" + rest;
      if (target.starts_with('/')) directory = open_start(target);
      continue;
    }
    directory = std::move(next);
  }
  return directory;
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace perfbroker
