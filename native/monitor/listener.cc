#include "monitor/listener.h"

#include "core/log.h"

namespace perfbroker {

namespace {

// True when the process that called listen(2) has ended. A connection to its socket has the
// credentials of that process (unix_listen, copy_peercred in net/unix/af_unix.c). False in doubt.
bool listening_process_ended(int connection) {
  int number = -1;
  if (socket_option(connection, SO_PEERPIDFD, number)) return !pidfd_alive(UniqueFd(number).get());
  // A process that has been waited for has no pidfd before Linux 6.16 (pidfd_prepare in
  // kernel/fork.c).
  if (errno == ESRCH || errno == EINVAL) return true;
  ucred peer{};
  return errno == ENOPROTOOPT && socket_option(connection, SO_PEERCRED, peer) && peer.pid > 0 &&
         kill(peer.pid, 0) != 0 && errno == ESRCH;
}

const char* bind_listener(const Options& o, UniqueFd& fd) {
  SocketAddress address{{AF_UNIX, {}}, 0};
  if (o.socket.size() >= sizeof address.value.sun_path) return "a socket's path may have 107 bytes";
  memcpy(address.value.sun_path, o.socket.data(), o.socket.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + o.socket.size() + 1);
  const char* path = o.socket.c_str();
  const std::string directory = o.socket.substr(0, o.socket.rfind('/'));
  if (!directory.empty() && mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return strerrordesc_np(errno);
  if (const char* wrong = clear_stale(path, address)) return wrong;
  fd.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t old = umask(0777);  // no client may connect before owner and mode are set
  const int bound = bind(fd.get(), reinterpret_cast<sockaddr*>(&address.value), address.length);
  umask(old);
  const bool owned = bound == 0 && lchown(path, o.socket_ids.uid, o.socket_ids.gid) == 0 &&
                     chmod(path, o.mode) == 0;
  return owned && listen(fd.get(), SOMAXCONN) == 0 ? nullptr : strerrordesc_np(errno);
}

const char* adopt_listener(UniqueFd& fd) {
  constexpr int passed = 3;  // SD_LISTEN_FDS_START
  const char* count = getenv("LISTEN_FDS");
  if (count == nullptr || strcmp(count, "1") != 0 || !is_unix_stream(passed, true))
    return "exactly one listening AF_UNIX stream socket is accepted";
  fd.reset(passed);
  const bool usable =
      fcntl(passed, F_SETFD, FD_CLOEXEC) == 0 && fcntl(passed, F_SETFL, O_NONBLOCK) == 0;
  return usable ? nullptr : "not usable";
}

}  // namespace

// A connection does not prove that a daemon serves the socket: a broker that was killed while one
// of its threads hangs in the kernel keeps its listener until that thread goes on. The monitor
// called listen(2), and no broker outlives it otherwise. A listener of systemd's has the
// credentials of systemd, which lives. No user can have a live socket removed: its directory
// belongs to root, so no user can replace it, and only another listen(2) by a holder of the
// listener changes the credentials.
const char* clear_stale(const char* path, const SocketAddress& address) {
  struct stat status;
  if (lstat(path, &status) != 0) return errno == ENOENT ? nullptr : strerrordesc_np(errno);
  if (!S_ISSOCK(status.st_mode)) return "exists and is not a socket";
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int connected =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address.value), address.length);
  const bool stale = connected == 0 ? listening_process_ended(probe.get()) : errno == ECONNREFUSED;
  if (!stale) return "another daemon serves this socket";
  return unlink(path) == 0 ? nullptr : strerrordesc_np(errno);
}

Listener make_listener(const Options& o) {
  Listener listener;
  const char* pid = getenv("LISTEN_PID");
  const bool passed = pid != nullptr && std::to_string(getpid()) == pid;
  // Without LISTEN_FDS the broker knows that the listener is its own.
  if (!passed) unsetenv("LISTEN_FDS");
  const char* wrong = passed ? adopt_listener(listener.fd) : bind_listener(o, listener.fd);
  if (wrong == nullptr && !read_address(listener.fd.get(), listener.address))
    wrong = "the socket has no name";
  if (wrong == nullptr) return listener;
  log_error("%s: %s", passed ? "LISTEN_FDS" : o.socket.c_str(), wrong);
  return {};
}

}  // namespace perfbroker
