#include "launcher/output.h"

#include <sys/random.h>

#include "core/linux.h"
#include "core/scm.h"
#include "launcher/collector.h"
#include "launcher/directory.h"
#include "launcher/orphan.h"
#include "protocol/launcher.h"

namespace perfbroker {
namespace {

// Messages to the keeper. End of stream without one: the launcher was killed, or discards.
constexpr char kExecutes = 'x', kFailed = 'f';

// 0, or why no profile may take the place of `name`. One that is missing is fine.
int find_obstacle(int directory, const char* name) {
  struct stat existing;
  if (fstatat(directory, name, &existing, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? 0 : errno;
  if (S_ISLNK(existing.st_mode)) return ELOOP;
  if (S_ISDIR(existing.st_mode)) return EISDIR;
  return S_ISREG(existing.st_mode) ? 0 : EEXIST;
}

int rename_in(int directory, const std::string& from, const std::string& to, unsigned flags) {
  return renameat2(directory, from.c_str(), directory, to.c_str(), flags) == 0 ? 0 : errno;
}

// Gives the file its name, and renames a file with that name to `name`.old. On failure all names
// are as they were, but where the file system has no RENAME_EXCHANGE.
int take_place(int directory, const std::string& temporary, const std::string& name) {
  const std::string old = name + ".old";
  if (const int error = find_obstacle(directory, name.c_str())) return error;
  int error = rename_in(directory, temporary, name, RENAME_EXCHANGE);
  if (error == 0) {
    // `temporary` is the older file now.
    error = rename_in(directory, temporary, old, 0);
    if (error != 0) rename_in(directory, temporary, name, RENAME_EXCHANGE);
    return error;
  }
  if (error == ENOENT) return rename_in(directory, temporary, name, RENAME_NOREPLACE);
  if (error != EINVAL) return error;
  // The file system knows no flags, as NFS.
  error = rename_in(directory, name, old, 0);
  return error == 0 || error == ENOENT ? rename_in(directory, temporary, name, 0) : error;
}

// The process that waits for the exec with root's rights. It holds the launcher's end of the
// collector's socket, so that the collector takes CMD for executed when the file has its name.
struct Keeper {
  int directory, channel, control;
  const std::string& temporary;
  const std::string& name;

  [[noreturn]] void run() const {
    setsid();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    // Nothing of CMD's may be held open here. The three are out of the way of these numbers.
    constexpr int kDirectory = 3, kChannel = 4, kControl = 5;
    if (dup2(directory, kDirectory) < 0 || dup2(channel, kChannel) < 0 ||
        dup2(control, kControl) < 0)
      _exit(1);
    syscall(SYS_close_range, 0u, 2u, 0);
    syscall(SYS_close_range, 6u, ~0u, 0);
    char order = 0;
    ssize_t got;
    do {
      got = read(kChannel, &order, 1);
    } while (got > 0 || (got < 0 && errno == EINTR));
    const int error = order == kExecutes ? take_place(kDirectory, temporary, name) : 0;
    if (order != kExecutes || error != 0) unlinkat(kDirectory, temporary.c_str(), 0);
    if (error != 0) {
      const launch::Reply misplaced{
          launch::kVersion, static_cast<uint32_t>(error), launch::kMisplaced, 0, 0};
      send_message(kControl, &misplaced, sizeof misplaced, {}, 0);
    }
    _exit(0);
  }
};

std::string random_name() {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) < 0) number = static_cast<uint64_t>(getpid());
  char name[40];
  snprintf(name, sizeof name, ".perfbroker-%016llx", static_cast<unsigned long long>(number));
  return name;
}

}  // namespace

int OutputFile::open_directory() {
  if (!directory_) {
    const UniqueFd directory = open_directory_of(path_);
    if (!directory) return errno;
    directory_.reset(fcntl(directory.get(), F_DUPFD_CLOEXEC, 16));
  }
  return directory_ ? 0 : errno;
}

int OutputFile::create(UniqueFd& fd, int control) {
  if (!temporary_.empty()) return EPERM;
  if (const int error = open_directory()) return error;
  const std::string name = name_of(path_);
  if (name.empty()) return EISDIR;
  if (const int error = find_obstacle(directory_.get(), name.c_str())) return error;
  struct stat old;
  if (fstatat(directory_.get(), (name + ".old").c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISDIR(old.st_mode))
    return EISDIR;
  const std::string temporary = random_name();
  fd.reset(openat(directory_.get(), temporary.c_str(),
      O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return errno;
  temporary_ = temporary;
  const int error = start_keeper(control);
  if (error != 0) {
    unlinkat(directory_.get(), temporary_.c_str(), 0);
    fd.reset();
  }
  return error;
}

int OutputFile::create_scratch(UniqueFd& fd) {
  if (const int error = open_directory()) return error;
  fd.reset(openat(directory_.get(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
  return fd ? 0 : errno;
}

int OutputFile::start_keeper(int control) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
  UniqueFd ours = dup_above_reserved(UniqueFd(pair[0])),
           theirs = dup_above_reserved(UniqueFd(pair[1]));
  if (!ours || !theirs) return errno;
  const std::string name = name_of(path_);
  Keeper keeper{directory_.get(), theirs.get(), control, temporary_, name};
  const int error =
      fork_orphan([](void* argument) { static_cast<Keeper*>(argument)->run(); }, &keeper);
  if (error == 0) keeper_ = std::move(ours);
  return error;
}

void OutputFile::announce_exec() {
  if (keeper_) send(keeper_.get(), &kExecutes, 1, MSG_NOSIGNAL);
}

void OutputFile::discard() {
  if (!keeper_) return;
  send(keeper_.get(), &kFailed, 1, MSG_NOSIGNAL);
  shutdown(keeper_.get(), SHUT_WR);
  char byte;
  while (read(keeper_.get(), &byte, 1) < 0 && errno == EINTR) continue;  // its end
  keeper_.reset();
}

}  // namespace perfbroker
