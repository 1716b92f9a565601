// AF_UNIX sockets with fd passing. Node's net.Socket cannot pass fds.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/function.h"
#include "core/scm.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5, include/uapi/asm-generic/socket.h
#endif

namespace perfbroker::addon {
namespace {

constexpr int kConnectMs = 5000;
constexpr int kMaxConnectMs = 60'000;

sockaddr_un unix_address(Napi::Env env, const std::string& path, const char* syscall) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // Strictly shorter: the last byte stays NUL.
  if (path.size() >= sizeof address.sun_path) throw system_error(env, ENAMETOOLONG, syscall);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd unix_socket(Napi::Env env, int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) throw system_error(env, errno, "socket");
  return fd;
}

Napi::Value connect_unix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address = unix_address(env, path_argument(info, 0, "path"), "connect");
  // Blocking, because a full backlog would otherwise be EAGAIN with nothing to wait on; but not for
  // ever, because this is the event loop's thread. connect(2) on AF_UNIX keeps to SO_SNDTIMEO and
  // then fails with EAGAIN.
  int wait =
      info[1].IsUndefined() ? kConnectMs : int32_argument(info, 1, "waitMs", 0, kMaxConnectMs);
  UniqueFd fd = unix_socket(env, wait == 0 ? SOCK_NONBLOCK : 0);
  timeval timeout{
      wait / 1000, wait % 1000 * 1000};  // zero: none, which O_NONBLOCK makes no wait at all
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) {
    throw system_error(env, errno, "setsockopt");
  }
  int result;
  do {
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) throw system_error(env, errno, "connect");
  timeout = {};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) {
    throw system_error(env, errno, "setsockopt");
  }
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    throw system_error(env, errno, "fcntl");
  return Napi::Number::New(env, fd.release());
}

Napi::Value listen_unix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address = unix_address(env, path_argument(info, 0, "path"), "bind");
  int backlog = int32_argument(info, 1, "backlog", 1, 65535);
  UniqueFd fd = unix_socket(env, SOCK_NONBLOCK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw system_error(env, errno, "bind");
  }
  if (::listen(fd.get(), backlog) != 0) throw system_error(env, errno, "listen");
  return Napi::Number::New(env, fd.release());
}

int socket_option(Napi::Env env, int socket, int option) {
  int value = 0;
  socklen_t bytes = sizeof value;
  if (::getsockopt(socket, SOL_SOCKET, option, &value, &bytes) != 0)
    throw system_error(env, errno, "getsockopt");
  return value;
}

// The parent process passed it (sd_listen_fds(3)): it is blocking, and need not be a listener.
Napi::Value adopt_listener(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = fd_argument(info, 0);
  if (socket_option(env, fd, SO_DOMAIN) != AF_UNIX)
    throw system_error(env, EAFNOSUPPORT, "getsockopt");
  if (socket_option(env, fd, SO_TYPE) != SOCK_STREAM)
    throw system_error(env, EPROTOTYPE, "getsockopt");
  if (socket_option(env, fd, SO_ACCEPTCONN) == 0) throw system_error(env, EINVAL, "getsockopt");
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    throw system_error(env, errno, "fcntl");
  }
  return env.Undefined();
}

// Out-of-band data of an AF_UNIX stream can bring fds. Without this option an ordinary recvmsg(2),
// a peek as well, drops it unseen, and the fds are closed in the thread that reads (manage_oob,
// net/unix/af_unix.c). With it they are received as all others. The flag is looked at when the data
// is read, so it holds for what a client sent before accept(2) as well.
bool receive_urgent_inline(int socket) {
  const int on = 1;
  return ::setsockopt(socket, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == 0;
}

Napi::Value accept_connection(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int listener = fd_argument(info, 0, "listener");
  int fd;
  do {
    fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0 && receive_urgent_inline(fd)) return Napi::Number::New(env, fd);
  if (fd >= 0) {
    const int error = errno;
    ::close(fd);
    throw system_error(env, error, "setsockopt");
  }
  if (errno == EAGAIN || errno == ECONNABORTED) return env.Null();
  throw system_error(env, errno, "accept4");
}

Napi::Value socket_pair(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string name = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
  if (name != "stream" && name != "seqpacket")
    throw argument_error(env, "type", "'stream' or 'seqpacket'");
  int type = name == "stream" ? SOCK_STREAM : SOCK_SEQPACKET;
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    throw system_error(env, errno, "socketpair");
  }
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(uint32_t{0}, fds[0]);
  pair.Set(uint32_t{1}, fds[1]);
  return pair;
}

// The second end is for a native worker, whose calls wait.
Napi::Value worker_channel(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
    throw system_error(env, errno, "socketpair");
  ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(uint32_t{0}, fds[0]);
  pair.Set(uint32_t{1}, fds[1]);
  return pair;
}

std::vector<gid_t> peer_groups(Napi::Env env, int socket) {
  std::vector<gid_t> groups(64);
  for (;;) {
    socklen_t bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      return groups;
    }
    // ERANGE comes with the size that is needed; NGROUPS_MAX keeps it at 256 KiB.
    if (errno != ERANGE || bytes / sizeof(gid_t) <= groups.size())
      throw system_error(env, errno, "getsockopt");
    groups.resize(bytes / sizeof(gid_t));
  }
}

ucred read_peer(Napi::Env env, int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    throw system_error(env, errno, "getsockopt");
  }
  // A socket without a peer reports pid 0, uid -1, gid -1: no identity to decide on.
  if (credentials.uid == static_cast<uid_t>(-1)) throw system_error(env, ENOTCONN, "getsockopt");
  return credentials;
}

Napi::Value peer_ids(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const ucred credentials = read_peer(env, fd_argument(info, 0, "socket"));
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, credentials.pid));
  result.Set("uid", Napi::Number::New(env, credentials.uid));
  return result;
}

Napi::Value peer_credentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int socket = fd_argument(info, 0, "socket");
  const ucred credentials = read_peer(env, socket);
  std::vector<gid_t> groups = peer_groups(env, socket);

  UniqueFd pidfd;
  const char* missing = nullptr;
  int number = -1;
  socklen_t bytes = sizeof number;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &number, &bytes) == 0) {
    pidfd.reset(number);
  } else if (errno == ENOPROTOOPT) {
    missing = "unsupported";
  } else if (errno == ESRCH || errno == EINVAL) {
    missing = "reaped";
  } else {
    throw system_error(env, errno, "getsockopt");
  }

  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, credentials.pid));
  result.Set("uid", Napi::Number::New(env, credentials.uid));
  result.Set("gid", Napi::Number::New(env, credentials.gid));
  Napi::Array list = Napi::Array::New(env, groups.size());
  for (uint32_t i = 0; i < groups.size(); i++) list.Set(i, Napi::Number::New(env, groups[i]));
  result.Set("groups", list);
  if (missing != nullptr) {
    result.Set("pidfd", missing);
  } else {
    result.Set("pidfd", Napi::Number::New(env, pidfd.get()));
    pidfd.release();  // JavaScript owns it from here on
  }
  return result;
}

Napi::Value send_bytes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int socket = fd_argument(info, 0, "socket");
  std::vector<int> fds = fd_list_argument(info, 2, "fds", kMaxMessageFds);
  // After the list, which may have run a getter; at least one byte, because fds need one to travel
  // with.
  std::span<uint8_t> data = bytes_argument(info, 1, "data");
  const std::optional<size_t> sent =
      send_message(socket, data.data(), data.size(), fds, MSG_DONTWAIT);
  if (sent) return Napi::Number::New(env, static_cast<double>(*sent));
  if (errno == EAGAIN) return env.Null();
  throw system_error(env, last_error("sendmsg"));
}

Napi::Value receive_bytes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int socket = fd_argument(info, 0, "socket");
  // Not empty: 0 bytes must mean end of stream.
  std::span<uint8_t> into = bytes_argument(info, 1, "into");
  std::array<UniqueFd, kMaxMessageFds> fds;
  const std::optional<Received> received =
      receive_message(socket, into.data(), into.size(), fds, MSG_DONTWAIT);
  if (!received) {
    if (errno == EAGAIN) return env.Null();
    throw system_error(env, last_error("recvmsg"));
  }
  Napi::Array list = Napi::Array::New(env, received->fd_count);
  for (uint32_t i = 0; i < received->fd_count; i++)
    list.Set(i, Napi::Number::New(env, fds[i].get()));
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(received->bytes)));
  result.Set("fds", list);
  result.Set("truncated", Napi::Boolean::New(env, received->truncated));
  for (size_t i = 0; i < received->fd_count; i++)
    fds[i].release();  // JavaScript owns them from here on
  return result;
}

Napi::Value unread_bytes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int amount = 0;
  if (::ioctl(fd_argument(info, 0, "socket"), SIOCOUTQ, &amount) != 0)
    throw system_error(env, errno, "ioctl");
  return Napi::Number::New(env, amount);
}

Napi::Value shutdown_socket(const Napi::CallbackInfo& info) {
  ::shutdown(fd_argument(info, 0, "socket"), SHUT_RDWR);
  return info.Env().Undefined();
}

Napi::Value end_writing(const Napi::CallbackInfo& info) {
  ::shutdown(fd_argument(info, 0, "socket"), SHUT_WR);
  return info.Env().Undefined();
}

}  // namespace

void export_sockets(Napi::Object exports) {
  set_function(exports, "connectUnix", connect_unix);
  set_function(exports, "listenUnix", listen_unix);
  set_function(exports, "adoptListener", adopt_listener);
  set_function(exports, "accept", accept_connection);
  set_function(exports, "socketPair", socket_pair);
  set_function(exports, "workerChannel", worker_channel);
  set_function(exports, "peerCredentials", peer_credentials);
  set_function(exports, "peerIds", peer_ids);
  set_function(exports, "sendMessage", send_bytes);
  set_function(exports, "receiveMessage", receive_bytes);
  set_function(exports, "unreadBytes", unread_bytes);
  set_function(exports, "shutdown", shutdown_socket);
  set_function(exports, "endWriting", end_writing);
}

}  // namespace perfbroker::addon
