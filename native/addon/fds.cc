// File descriptors, pidfds and clocks.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/closer.h"
#include "addon/function.h"
#include "core/scm.h"

namespace perfbroker::addon {
namespace {

Napi::Value close_fd(const Napi::CallbackInfo& info) {
  // EINTR is success here: Linux has freed the number, and a retry could close somebody else's.
  if (::close(fd_argument(info, 0)) != 0 && errno != EINTR) throw system_error(info.Env(), errno, "close");
  return info.Env().Undefined();
}

int open_fd_argument(const Napi::CallbackInfo& info) {
  const int fd = fd_argument(info, 0);
  if (::fcntl(fd, F_GETFD) < 0) throw system_error(info.Env(), errno, "close");
  return fd;
}

// By the kernel's own names: a file system's begin with a slash.
bool is_pidfd(int fd) {
  char name[24];
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(path.c_str(), name, sizeof name);
  const std::string_view text(name, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  return text == "anon_inode:[pidfd]" || text.starts_with("pidfd:[");
}

void close_elsewhere(UniqueFd fd) {
  if (!is_pidfd(fd.get())) Closer::instance().add(std::move(fd));  // else closed here: that never blocks
}

Napi::Value close_foreign(const Napi::CallbackInfo& info) {
  close_elsewhere(UniqueFd(open_fd_argument(info)));
  return info.Env().Undefined();
}

Napi::Value foreign_closes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Closer::instance().pending()));
}

void end(int socket) {
  // From here on nothing more arrives. What has arrived may hold fds, which the last close(2) would close.
  ::shutdown(socket, SHUT_RDWR);
  std::vector<char> bytes;
  std::array<UniqueFd, kMaxMessageFds> fds;
  int unread = 0;
  while (::ioctl(socket, SIOCINQ, &unread) == 0 && unread > 0) {
    bytes.resize(64 << 10);  // not before: most connections that are refused have sent nothing
    const Result<Received> received = receive_message(socket, bytes.data(), bytes.size(), fds, MSG_DONTWAIT);
    // EMSGSIZE: more fds than there was room for. ECONNRESET is told once.
    if (!received && received.error().number != EMSGSIZE && received.error().number != ECONNRESET) break;
    for (UniqueFd& fd : fds) {
      if (fd) close_elsewhere(std::move(fd));
    }
  }
}

Napi::Value end_connection(const Napi::CallbackInfo& info) {
  end(open_fd_argument(info));
  return info.Env().Undefined();
}

Napi::Value close_connection(const Napi::CallbackInfo& info) {
  const UniqueFd socket(open_fd_argument(info));
  end(socket.get());
  return info.Env().Undefined();
}

Napi::Value duplicate_fd(const Napi::CallbackInfo& info) {
  int fd = ::fcntl(fd_argument(info, 0), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw system_error(info.Env(), errno, "fcntl");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value pidfd_open(const Napi::CallbackInfo& info) {
  long fd = ::syscall(SYS_pidfd_open, int32_argument(info, 0, "pid", 1), 0u);  // always close-on-exec
  if (fd < 0) throw system_error(info.Env(), errno, "pidfd_open");
  return Napi::Number::New(info.Env(), static_cast<double>(fd));
}

Napi::Value pidfd_alive(const Napi::CallbackInfo& info) {
  pollfd entry{fd_argument(info, 0, "pidfd"), POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&entry, 1, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) throw system_error(info.Env(), errno, "poll");
  if ((entry.revents & POLLNVAL) != 0) throw system_error(info.Env(), EBADF, "poll");
  return Napi::Boolean::New(info.Env(), entry.revents == 0);
}

Napi::Value clock_nanoseconds(const Napi::CallbackInfo& info) {
  timespec time{};
  if (::clock_gettime(int32_argument(info, 0, "clock", 0, 15), &time) != 0) {
    throw system_error(info.Env(), errno, "clock_gettime");
  }
  return Napi::BigInt::New(info.Env(), int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec);
}

}  // namespace

void export_fds(Napi::Object exports) {
  set_function(exports, "close", close_fd);
  set_function(exports, "closeForeign", close_foreign);
  set_function(exports, "foreignCloses", foreign_closes);
  set_function(exports, "endConnection", end_connection);
  set_function(exports, "closeConnection", close_connection);
  set_function(exports, "duplicate", duplicate_fd);
  set_function(exports, "pidfdOpen", pidfd_open);
  set_function(exports, "pidfdAlive", pidfd_alive);
  set_function(exports, "clockNanoseconds", clock_nanoseconds);
}

}  // namespace perfbroker::addon
