// File descriptors, pidfds and clocks.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/function.h"

namespace perfbroker::addon {
namespace {

Napi::Value close_fd(const Napi::CallbackInfo& info) {
  // EINTR is success here: Linux has freed the number, and a retry could close another file.
  if (::close(fd_argument(info, 0)) != 0 && errno != EINTR)
    throw system_error(info.Env(), errno, "close");
  return info.Env().Undefined();
}

Napi::Value duplicate_fd(const Napi::CallbackInfo& info) {
  int fd = ::fcntl(fd_argument(info, 0), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw system_error(info.Env(), errno, "fcntl");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value pidfd_open(const Napi::CallbackInfo& info) {
  long fd =
      ::syscall(SYS_pidfd_open, int32_argument(info, 0, "pid", 1), 0u);  // always close-on-exec
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
  set_function(exports, "duplicate", duplicate_fd);
  set_function(exports, "pidfdOpen", pidfd_open);
  set_function(exports, "pidfdAlive", pidfd_alive);
  set_function(exports, "clockNanoseconds", clock_nanoseconds);
}

}  // namespace perfbroker::addon
