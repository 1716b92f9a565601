// The lanes (lanes.h) as JavaScript calls them.
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/completions.h"
#include "addon/function.h"
#include "addon/lanes.h"
#include "addon/unread_socket.h"
#include "core/unique_fd.h"

namespace perfbroker::addon {
namespace {

using Fds = std::vector<UniqueFd>;
using SharedFds = std::shared_ptr<Fds>;

constexpr size_t kMaxFds = 1 << 20;  // the kernel's largest fs.nr_open that is in use

// A uid, or a negative number for users that are none (src/model/identity/subordinate_uids.ts).
int64_t user_argument(const Napi::CallbackInfo& info) {
  return integer_value(
      info[0], "user", std::numeric_limits<int32_t>::min(), std::numeric_limits<uint32_t>::max());
}

Completions::Post post_argument(
    const Napi::CallbackInfo& info, size_t index, Completions& completions) {
  if (info[index].IsNull() || info[index].IsUndefined()) return nullptr;
  return completions.expect(function_argument(info, index, "onDone"));
}

// Owns the fds from now on, except for numbers that are not open: `*missing` is set when there was
// one.
SharedFds own(const std::vector<int>& numbers, bool* missing) {
  auto fds = std::make_shared<Fds>();
  fds->reserve(numbers.size());
  for (const int number : numbers) {
    if (::fcntl(number, F_GETFD) < 0) {
      *missing = true;
    } else {
      fds->emplace_back(number);
    }
  }
  return fds;
}

int open_fd_argument(const Napi::CallbackInfo& info, size_t index) {
  const int fd = fd_argument(info, index);
  if (::fcntl(fd, F_GETFD) < 0) throw system_error(info.Env(), errno, "close");
  return fd;
}

void close_at_once(UniqueFd fd) {
  const linger none{0, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);  // ENOTSOCK, mostly
}

void close_all(Fds& fds) {
  for (UniqueFd& fd : fds) close_at_once(std::move(fd));
  fds.clear();
}

Napi::Value close_in_lane(const Napi::CallbackInfo& info, Completions& completions) {
  const int64_t user = user_argument(info);
  const std::vector<int> numbers = fd_list_argument(info, 1, "fds", kMaxFds);
  Completions::Post post = post_argument(info, 2, completions);
  bool missing = false;
  const SharedFds fds = own(numbers, &missing);
  Operation operation{[fds] { close_all(*fds); }, nullptr};
  if (post) operation.done = [post] { post({}); };
  Lanes::instance().add(user, std::move(operation));
  if (missing) throw system_error(info.Env(), EBADF, "close");
  return info.Env().Undefined();
}

// As named by the kernel: a name in a file system begins with a slash.
bool is_pidfd(int fd) {
  char name[24];
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(path.c_str(), name, sizeof name);
  const std::string_view text(name, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  return text == "anon_inode:[pidfd]" || text.starts_with("pidfd:[");
}

// Most fds of clients are pidfds, and closing one never blocks: a few of them need no thread. To
// examine many of them would take the caller's thread longer than the client needs to send them.
constexpr size_t kFewFds = 8;
Napi::Value close_foreign(const Napi::CallbackInfo& info) {
  const int64_t user = user_argument(info);
  bool missing = false;
  const SharedFds fds = own(fd_list_argument(info, 1, "fds", kMaxFds), &missing);
  if (fds->size() <= kFewFds)
    std::erase_if(*fds, [](const UniqueFd& fd) { return is_pidfd(fd.get()); });
  if (!fds->empty())
    Lanes::instance().add(user, {[fds] { close_all(*fds); }, nullptr, fds->size()});
  if (missing) throw system_error(info.Env(), EBADF, "close");
  return info.Env().Undefined();
}

Napi::Value end_connection(const Napi::CallbackInfo& info) {
  const int socket = open_fd_argument(info, 0);
  ::shutdown(socket, SHUT_RDWR);  // nothing more arrives
  drop_bytes(socket);
  return info.Env().Undefined();
}

Napi::Value close_connection(const Napi::CallbackInfo& info) {
  const int64_t user = user_argument(info);
  UniqueFd socket(open_fd_argument(info, 1));
  ::shutdown(socket.get(), SHUT_RDWR);
  if (drop_bytes(socket.get())) return info.Env().Undefined();  // an empty socket closes at once
  Lanes::instance().add(user, {nullptr, nullptr, 1, std::move(socket)});
  return info.Env().Undefined();
}

// Returns a function that returns the number of events disabled so far.
Napi::Value disable_in_lane(const Napi::CallbackInfo& info, Completions& completions) {
  const int64_t user = user_argument(info);
  const std::vector<int> fds = fd_list_argument(info, 1, "fds", kMaxFds);
  Completions::Post post = post_argument(info, 2, completions);
  auto disabled = std::make_shared<std::atomic<int>>(0);
  Operation operation;
  operation.run = [fds, disabled] {
    for (const int fd : fds) {
      if (::ioctl(fd, PERF_EVENT_IOC_DISABLE, 0) == 0) (*disabled)++;
    }
  };
  if (post) operation.done = [post, disabled] { post({disabled->load()}); };
  Lanes::instance().add(user, std::move(operation));
  return Napi::Function::New(info.Env(), [disabled](const Napi::CallbackInfo& call) -> Napi::Value {
    return Napi::Number::New(call.Env(), disabled->load());
  });
}

bool set_output(int event, int ring) {
  return ::ioctl(event, PERF_EVENT_IOC_SET_OUTPUT, ring) == 0;
}

// True when this kernel maps a ring through an event that is redirected to it: it did until 6.18,
// which refuses with EBUSY. Any other refusal counts as if it did. mmap(2) holds the mmap_lock of
// this process while it waits for `event->mmap_mutex`, so `event` is one that no client has.
bool maps_redirected(int event, size_t pages) {
  const size_t length = (pages + 1) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
  const bool refused = address == MAP_FAILED && errno == EBUSY;
  if (address != MAP_FAILED) munmap(address, length);
  return !refused;
}

Napi::Value keep_rings_in_lane(const Napi::CallbackInfo& info, Completions& completions) {
  const int64_t user = user_argument(info);
  const std::vector<int> keepers = fd_list_argument(info, 1, "keepers", kMaxFds);
  const std::vector<int> rings = fd_list_argument(info, 2, "rings", kMaxFds);
  const size_t pages = info[3].IsNull() ? 0 : pages_argument(info, 3, "pages");
  if (rings.size() != keepers.size())
    throw argument_error(info.Env(), "rings", "as many as there are keepers");
  Completions::Post post = completions.expect(function_argument(info, 4, "onDone"));
  auto answer = std::make_shared<std::vector<int>>(1, -1);
  Operation operation;
  operation.run = [keepers, rings, pages, answer] {
    for (size_t i = 0; i < keepers.size(); i++) {
      bool kept = set_output(keepers[i], rings[i]);
      if (kept && pages > 0 && answer->front() < 0) {
        answer->front() = maps_redirected(keepers[i], pages) ? 1 : 0;
        kept = set_output(keepers[i], rings[i]);  // the mapping has undone it
      }
      answer->push_back(kept ? 1 : 0);
    }
  };
  operation.done = [post, answer] { post(*answer); };
  Lanes::instance().add(user, std::move(operation));
  return info.Env().Undefined();
}

// PERF_EVENT_IOC_PAUSE_OUTPUT is EINVAL exactly when the event has no ring, its own or one that it
// is redirected to
// (_perf_ioctl, kernel/events/core.c, since Linux 4.7), and an event has a ring as long as the ring
// is mapped in any process. Any other refusal counts as mapped. mmap(2) would show it as well, but
// would stop every thread of this process that touches memory when a client's thread holds
// `event->mmap_mutex`.
//
// Argument 0 resumes the output of a ring that its holder had paused. The grant of the ring has
// ended by then, and the holder of its fds can do the same at any time.
bool ring_mapped(int event) {
  return ::ioctl(event, PERF_EVENT_IOC_PAUSE_OUTPUT, 0) == 0 || errno != EINVAL;
}

Napi::Value rings_mapped_in_lane(const Napi::CallbackInfo& info, Completions& completions) {
  const int64_t user = user_argument(info);
  const std::vector<int> fds = fd_list_argument(info, 1, "fds", kMaxFds);
  Completions::Post post = completions.expect(function_argument(info, 2, "onDone"));
  auto mapped = std::make_shared<bool>(false);
  Lanes::instance().add(
      user, {[fds, mapped] { *mapped = std::any_of(fds.begin(), fds.end(), ring_mapped); },
                [post, mapped] { post({*mapped ? 1 : 0}); }});
  return info.Env().Undefined();
}

Napi::Value foreign_fds(const Napi::CallbackInfo& info) {
  return Napi::Number::New(
      info.Env(), static_cast<double>(Lanes::instance().foreign(user_argument(info))));
}

Napi::Value lane_operations(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Lanes::instance().pending()));
}

}  // namespace

void export_lanes(Napi::Object exports) {
  const auto completions = std::make_shared<Completions>(exports.Env());
  const auto bound = [&](Napi::Value (*call)(const Napi::CallbackInfo&, Completions&)) {
    return [call, completions](const Napi::CallbackInfo& info) { return call(info, *completions); };
  };
  set_function(exports, "closeInLane", bound(close_in_lane));
  set_function(exports, "disableInLane", bound(disable_in_lane));
  set_function(exports, "keepRingsInLane", bound(keep_rings_in_lane));
  set_function(exports, "ringsMappedInLane", bound(rings_mapped_in_lane));
  set_function(exports, "closeForeign", close_foreign);
  set_function(exports, "endConnection", end_connection);
  set_function(exports, "closeConnection", close_connection);
  set_function(exports, "foreignFds", foreign_fds);
  set_function(exports, "laneOperations", lane_operations);
}

}  // namespace perfbroker::addon
