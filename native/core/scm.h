// Messages with file descriptors over AF_UNIX sockets (SCM_RIGHTS, unix(7)).
#pragma once

#include <cerrno>
#include <optional>
#include <span>

#include "core/unique_fd.h"

namespace perfbroker {

inline constexpr size_t kMaxMessageFds = 253;  // SCM_MAX_FD, include/net/scm.h

struct Received {
  size_t bytes = 0;        // 0: end of stream
  size_t fd_count = 0;     // fds put into the caller's span, from its start
  bool truncated = false;  // MSG_TRUNC: the packet was longer than the buffer
};

// One recvmsg(2), every fd with FD_CLOEXEC. `flags`: such as MSG_DONTWAIT; EINTR is retried. Empty:
// errno. EMSGSIZE when the kernel cut off fds (MSG_CTRUNC: the receiver's RLIMIT_NOFILE) or when
// more came than `fds` holds: then every one of them has been closed.
std::optional<Received> receive_message(
    int socket, void* data, size_t size, std::span<UniqueFd> fds, int flags);

// One sendmsg(2) with MSG_NOSIGNAL; the caller keeps the fds. Returns the bytes sent. Empty: errno.
// EINVAL for more than kMaxMessageFds fds, or for fds without data.
std::optional<size_t> send_message(
    int socket, const void* data, size_t size, std::span<const int> fds, int flags);

}  // namespace perfbroker
