#include "addon/unread_socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

namespace perfbroker::addon {
namespace {

// One recvmsg(2) without room for fds. The kernel drops the fds that came with the bytes; `*fds` is
// set then.
ssize_t read_bytes(int socket, std::vector<char>& into, int flags, bool* fds) {
  iovec vector{into.data(), into.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  const ssize_t bytes = ::recvmsg(socket, &header, flags | MSG_DONTWAIT);
  *fds = bytes >= 0 && (header.msg_flags & MSG_CTRUNC) != 0;
  return bytes;
}

int unread(int socket) {
  int bytes = 0;
  return ::ioctl(socket, SIOCINQ, &bytes) == 0 ? bytes : 0;
}

// Nothing else gets numbers from `first` on while the process has fewer fds open: the kernel gives
// the lowest number that is free.
struct Range {
  int first, end;
};
Range reserved_numbers() {
  constexpr int kFirstNumber = 1 << 15, kEndNumber = 1 << 17;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const int end = static_cast<int>(std::min<rlim_t>(files.rlim_cur, kEndNumber));
  return {std::min(kFirstNumber, end / 2), end};
}

// The first of `count` reserved numbers in a row. Those that were given before are free again:
// close_together needs them for microseconds.
int reserve_numbers(int count) {
  const auto [first, end] = reserved_numbers();
  static std::mutex mutex;
  static int next = 0;
  const std::lock_guard lock(mutex);
  if (next < first || next + count > end) next = first;
  return std::exchange(next, next + count);
}

}  // namespace

bool drop_bytes(int socket) {
  constexpr int kFewBytes = 16 << 10;
  std::vector<char> buffer;
  while (const int waiting = unread(socket)) {
    if (waiting > kFewBytes) return false;
    buffer.resize(kFewBytes);
    bool fds = false;
    const ssize_t peeked = read_bytes(socket, buffer, MSG_PEEK, &fds);
    if (peeked < 0 && errno == ECONNRESET) continue;  // reported once
    if (peeked <= 0 || fds) return false;
    buffer.resize(static_cast<size_t>(peeked));
    if (read_bytes(socket, buffer, 0, &fds) <= 0) return false;
  }
  return true;
}

void drop_messages(int socket) {
  std::vector<char> buffer(64 << 10);
  bool fds = false;
  while (unread(socket) > 0) {
    const ssize_t bytes = read_bytes(socket, buffer, 0, &fds);
    if (bytes == 0 || (bytes < 0 && errno != ECONNRESET)) break;
  }
}

// The sockets that wait have numbers below the reserved ones, and so have all other fds.
size_t most_together() { return static_cast<size_t>(reserved_numbers().first / 4); }

void close_together(std::vector<UniqueFd> sockets) {
  const int first = reserve_numbers(static_cast<int>(sockets.size()));
  int end = first;
  for (UniqueFd& socket : sockets) {
    UniqueFd copy(::fcntl(socket.get(), F_DUPFD_CLOEXEC, end));
    // Taken, or beyond RLIMIT_NOFILE. The rest keep their numbers until they are closed one by one.
    if (copy.get() != end) break;
    copy.release();
    socket.reset();  // not the last reference
    end++;
  }
  if (end > first) ::syscall(SYS_close_range, first, end - 1, 0);
}

}  // namespace perfbroker::addon
