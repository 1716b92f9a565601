#include "monitor/listener.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "monitor/say.h"

namespace perfbroker {

namespace {

constexpr int kPassedFd = 3;  // SD_LISTEN_FDS_START
constexpr int kBacklog = 128;

bool complain(const std::string& path, const char* what) {
  say("%s: %s", path.c_str(), what);
  return false;
}

bool environment_is(const char* name, long value) {
  const char* text = getenv(name);
  long number = -1;
  if (text == nullptr) return false;
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), number);
  return error == std::errc{} && end == view.data() + view.size() && number == value;
}

bool is_listening_stream(int fd) {
  int domain = -1, type = -1, listening = 0;
  socklen_t size = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
         getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 1;
}

// A socket file that nobody serves any more is removed; anything else stays and is refused.
bool clear_stale(const std::string& path, const sockaddr_un& address, socklen_t length) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return errno == ENOENT || complain(path, strerrordesc_np(errno));
  if (!S_ISSOCK(status.st_mode)) return complain(path, "exists and is no socket");
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0 || errno != ECONNREFUSED) {
    return complain(path, "another daemon serves this socket");
  }
  return unlink(path.c_str()) == 0 || complain(path, strerrordesc_np(errno));
}

UniqueFd bind_listener(const Options& o) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (o.socket.size() >= sizeof address.sun_path) {
    complain(o.socket, "a socket's path may have 107 bytes");
    return {};
  }
  memcpy(address.sun_path, o.socket.data(), o.socket.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + o.socket.size() + 1);

  const std::string directory = o.socket.substr(0, o.socket.rfind('/'));
  if (!directory.empty() && mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    complain(directory, strerrordesc_np(errno));
    return {};
  }
  if (!clear_stale(o.socket, address, length)) return {};
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t old = umask(0777);  // nobody may connect until owner and mode are as they shall be
  bool good = fd && bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) == 0;
  umask(old);
  good = good && lchown(o.socket.c_str(), o.socket_owner, o.socket_group) == 0 &&
         chmod(o.socket.c_str(), o.socket_mode) == 0 && listen(fd.get(), kBacklog) == 0;
  if (!good) {
    complain(o.socket, strerrordesc_np(errno));
    return {};
  }
  return fd;
}

}  // namespace

Listener make_listener(const Options& o) {
  Listener listener;
  if (environment_is("LISTEN_PID", getpid())) {
    if (!environment_is("LISTEN_FDS", 1) || !is_listening_stream(kPassedFd)) {
      say("LISTEN_FDS: exactly one listening AF_UNIX stream socket is accepted");
      return listener;
    }
    // Away from the low numbers, where the broker's fds are put in order.
    listener.fd.reset(fcntl(kPassedFd, F_DUPFD_CLOEXEC, 10));
    close(kPassedFd);
    fcntl(listener.fd.get(), F_SETFL, O_NONBLOCK);
  } else {
    listener.fd = bind_listener(o);
  }
  if (!listener.fd) return listener;
  listener.address.length = sizeof listener.address.value;
  if (getsockname(listener.fd.get(), reinterpret_cast<sockaddr*>(&listener.address.value), &listener.address.length) != 0 ||
      listener.address.length <= sizeof(sa_family_t)) {
    say("the listening socket has no name");
    listener.fd.reset();
  }
  return listener;
}

}  // namespace perfbroker
