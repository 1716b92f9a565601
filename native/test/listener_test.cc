// Sockets of daemons that have ended, and of those that have not.
#include "monitor/listener.h"

#include "test/processes.h"

using namespace perfbroker;
using namespace harness;

namespace {

bool exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

bool connects(const Socket& s, UniqueFd& connection) {
  connection.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(connection.get(), reinterpret_cast<const sockaddr*>(&s.address.value),
             s.address.length) == 0;
}

bool is_refused(const Socket& s) {
  const char* wrong = clear_stale(s.path.c_str(), s.address);
  return wrong != nullptr && strstr(wrong, "another daemon") != nullptr && exists(s.path);
}

// Calls listen(2) on a socket that this process also holds, and stays until it is killed.
Child listening_child(const Socket& s) {
  return Child([&](int channel) {
    if (listen(s.fd.get(), 8) == 0) target_body(0)(channel);
  });
}

}  // namespace

TEST("a socket whose process listens is refused, and stays") {
  const Socket listener;
  CHECK(is_refused(listener));
}

TEST("a socket that no process holds is removed") {
  Socket listener;
  listener.fd.reset();
  CHECK(clear_stale(listener.path.c_str(), listener.address) == nullptr && !exists(listener.path));
}

TEST(
    "a socket whose listening process has ended is removed, though another process holds it and it "
    "takes connections") {
  const Socket listener;
  Child child = listening_child(listener);
  EQUAL(child.hear(), 'r');
  CHECK(is_refused(listener));
  child.end();
  UniqueFd connection;
  CHECK(connects(listener, connection));
  CHECK(clear_stale(listener.path.c_str(), listener.address) == nullptr && !exists(listener.path));
}

TEST("a listening process that has ended counts as ended before its parent waits for it") {
  const Socket listener;
  Child child = listening_child(listener);
  EQUAL(child.hear(), 'r');
  kill(child.pid(), SIGKILL);
  siginfo_t info{};
  CHECK(waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT) == 0);
  UniqueFd connection, pidfd;
  CHECK(connects(listener, connection));
  if (int fd = -1; socket_option(connection.get(), SO_PEERPIDFD, fd)) pidfd.reset(fd);
  if (!pidfd && errno == ENOPROTOOPT) SKIP("there is no SO_PEERPIDFD before Linux 6.5");
  CHECK(clear_stale(listener.path.c_str(), listener.address) == nullptr && !exists(listener.path));
}
