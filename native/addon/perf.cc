// Operations on perf event fds. None needs a privilege, except that the kernel checks
// perf_event_open(2) itself.
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/function.h"

namespace perfbroker::addon {
namespace {

constexpr size_t kMaxAttrBytes = 4096;  // the kernel's own limit: PAGE_SIZE
constexpr size_t kMaxReadWords = 4096;  // an event group of 800 events with every read_format bit

void perf_ioctl(Napi::Env env, int fd, unsigned long request, unsigned long argument) {
  if (::ioctl(fd, request, argument) != 0) throw system_error(env, errno, "ioctl");
}

Napi::Value perf_enable(const Napi::CallbackInfo& info) {
  perf_ioctl(info.Env(), fd_argument(info, 0), PERF_EVENT_IOC_ENABLE, 0);
  return info.Env().Undefined();
}

Napi::Value perf_disable(const Napi::CallbackInfo& info) {
  perf_ioctl(info.Env(), fd_argument(info, 0), PERF_EVENT_IOC_DISABLE, 0);
  return info.Env().Undefined();
}

Napi::Value perf_reset(const Napi::CallbackInfo& info) {
  perf_ioctl(info.Env(), fd_argument(info, 0), PERF_EVENT_IOC_RESET, 0);
  return info.Env().Undefined();
}

Napi::Value perf_id(const Napi::CallbackInfo& info) {
  uint64_t id = 0;
  perf_ioctl(
      info.Env(), fd_argument(info, 0), PERF_EVENT_IOC_ID, reinterpret_cast<unsigned long>(&id));
  return Napi::BigInt::New(info.Env(), id);
}

Napi::Value perf_set_output(const Napi::CallbackInfo& info) {
  int fd = fd_argument(info, 0);
  perf_ioctl(info.Env(), fd, PERF_EVENT_IOC_SET_OUTPUT,
      static_cast<unsigned long>(fd_argument(info, 1, "target")));
  return info.Env().Undefined();
}

Napi::Value perf_read(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint64_t words[kMaxReadWords];
  ssize_t bytes;
  do {
    bytes = ::read(fd_argument(info, 0), words, sizeof words);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) throw system_error(env, errno, "read");
  size_t count = static_cast<size_t>(bytes) / sizeof(uint64_t);
  Napi::BigUint64Array result = Napi::BigUint64Array::New(env, count);
  std::memcpy(result.Data(), words, count * sizeof(uint64_t));
  return result;
}

Napi::Value perf_event_open(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::span<uint8_t> bytes = bytes_argument(info, 0, "attr", PERF_ATTR_SIZE_VER0);
  int pid = int32_argument(info, 1, "pid", -1);
  int cpu = int32_argument(info, 2, "cpu", -1);
  int group = int32_argument(info, 3, "groupFd", -1);
  unsigned long flags = static_cast<unsigned long>(int32_argument(info, 4, "flags", 0));

  // A copy, because the kernel writes its own size back on E2BIG; and the kernel reads as many
  // bytes as the struct states (0 means the first published size).
  alignas(perf_event_attr) uint8_t attr[kMaxAttrBytes] = {};
  uint32_t size;
  std::memcpy(&size, bytes.data() + offsetof(perf_event_attr, size), sizeof size);
  if (bytes.size() > sizeof attr || size > bytes.size()) {
    throw argument_error(env, "attr", "as long as its size field states, and at most 4096 bytes");
  }
  std::memcpy(attr, bytes.data(), bytes.size());
  long fd = ::syscall(SYS_perf_event_open, attr, pid, cpu, group, flags | PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) throw system_error(env, errno, "perf_event_open");
  return Napi::Number::New(env, static_cast<double>(fd));
}

}  // namespace

void export_perf(Napi::Object exports) {
  set_function(exports, "perfEnable", perf_enable);
  set_function(exports, "perfDisable", perf_disable);
  set_function(exports, "perfReset", perf_reset);
  set_function(exports, "perfId", perf_id);
  set_function(exports, "perfSetOutput", perf_set_output);
  set_function(exports, "perfRead", perf_read);
  set_function(exports, "perfEventOpen", perf_event_open);
}

}  // namespace perfbroker::addon
