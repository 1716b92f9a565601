#include "core/scm.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

namespace perfbroker {

std::optional<Received> receive_message(
    int socket, void* data, size_t size, std::span<UniqueFd> fds, int flags) {
  iovec vector{data, size};
  // Room for all that the kernel can send, so that surplus fds arrive here and can be closed.
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)];
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t bytes = TEMP_FAILURE_RETRY(recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC));
  if (bytes < 0) return {};

  Received received{static_cast<size_t>(bytes), 0, (header.msg_flags & MSG_TRUNC) != 0};
  bool overflow = (header.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
      continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int number;
      memcpy(&number, CMSG_DATA(c) + i * sizeof number, sizeof number);
      UniqueFd fd(number);
      overflow = overflow || received.fd_count == fds.size();
      if (!overflow) fds[received.fd_count++] = std::move(fd);
    }
  }
  if (!overflow) return received;
  for (UniqueFd& fd : fds) fd.reset();
  errno = EMSGSIZE;
  return {};
}

std::optional<size_t> send_message(
    int socket, const void* data, size_t size, std::span<const int> fds, int flags) {
  if (fds.size() > kMaxMessageFds || (size == 0 && !fds.empty())) {
    errno = EINVAL;
    return {};
  }
  iovec vector{const_cast<void*>(data), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)];
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    memset(control, 0, CMSG_SPACE(fds.size_bytes()));
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  const ssize_t bytes = TEMP_FAILURE_RETRY(sendmsg(socket, &header, flags | MSG_NOSIGNAL));
  if (bytes < 0) return {};
  return static_cast<size_t>(bytes);
}

}  // namespace perfbroker
