#include "core/scm.h"

#include "core/linux.h"
#include "test/harness.h"

using namespace perfbroker;

namespace {

struct Pair {
  UniqueFd a, b;
  explicit Pair(int type) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0);
    a.reset(ends[0]);
    b.reset(ends[1]);
  }
};

size_t count_fds() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) count++;
  closedir(directory);
  return count;
}

}  // namespace

TEST("253 fds travel in one message and arrive close-on-exec") {
  Pair pair(SOCK_SEQPACKET);
  const std::vector<int> sent(kMaxMessageFds, STDERR_FILENO);
  CHECK(bool(send_message(pair.a.get(), "x", 1, sent, 0)));
  UniqueFd fds[kMaxMessageFds];
  char byte;
  const std::optional<Received> received = receive_message(pair.b.get(), &byte, 1, fds, 0);
  CHECK(bool(received));
  EQUAL(received->fd_count, kMaxMessageFds);
  for (const UniqueFd& fd : fds) EQUAL(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}

TEST("254 fds are refused before anything is sent") {
  Pair pair(SOCK_SEQPACKET);
  const std::vector<int> sent(kMaxMessageFds + 1, STDERR_FILENO);
  const std::optional<size_t> result = send_message(pair.a.get(), "x", 1, sent, 0);
  CHECK(!result);
  EQUAL(errno, EINVAL);
  char byte;
  EQUAL(recv(pair.b.get(), &byte, 1, MSG_DONTWAIT), -1);
}

TEST("more fds than the receiver has room for are all closed and give EMSGSIZE") {
  Pair pair(SOCK_STREAM);
  const int sent[] = {0, 1, 2};
  CHECK(bool(send_message(pair.a.get(), "x", 1, sent, 0)));
  const size_t before = count_fds();
  UniqueFd fds[2];
  char byte;
  const std::optional<Received> received = receive_message(pair.b.get(), &byte, 1, fds, 0);
  CHECK(!received);
  EQUAL(errno, EMSGSIZE);
  CHECK(!fds[0] && !fds[1]);
  EQUAL(count_fds(), before);
}

TEST("fds that the kernel cut off (RLIMIT_NOFILE) are all closed and give EMSGSIZE") {
  Pair pair(SOCK_STREAM);
  const std::vector<int> sent(100, STDERR_FILENO);
  CHECK(bool(send_message(pair.a.get(), "x", 1, sent, 0)));
  const size_t before = count_fds();
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  const rlimit few{20, old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  UniqueFd fds[kMaxMessageFds];
  char byte;
  const std::optional<Received> received = receive_message(pair.b.get(), &byte, 1, fds, 0);
  setrlimit(RLIMIT_NOFILE, &old);
  CHECK(!received);
  EQUAL(errno, EMSGSIZE);
  EQUAL(count_fds(), before);
}

TEST("a packet that does not fit is reported as truncated") {
  Pair pair(SOCK_SEQPACKET);
  CHECK(bool(send_message(pair.a.get(), "long", 4, {}, 0)));
  char byte;
  const std::optional<Received> received = receive_message(pair.b.get(), &byte, 1, {}, 0);
  CHECK(bool(received) && received->truncated);
}

TEST("the end of the stream is zero bytes, and a closed reader is EPIPE without a signal") {
  Pair pair(SOCK_STREAM);
  pair.b.reset();
  char byte;
  const std::optional<Received> received = receive_message(pair.a.get(), &byte, 1, {}, 0);
  CHECK(bool(received));
  EQUAL(received->bytes, 0);
  const std::optional<size_t> sent = send_message(pair.a.get(), "x", 1, {}, 0);
  CHECK(!sent);
  EQUAL(errno, EPIPE);
}
