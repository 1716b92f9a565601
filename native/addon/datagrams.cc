// AF_UNIX datagrams to a named socket: what sd_notify(3) and journald's native protocol are made of.
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/errors.h"
#include "addon/function.h"
#include "core/unique_fd.h"

namespace perfbroker::addon {
namespace {

// "@name" is an abstract address: a NUL instead of the sign, and its length is part of it.
socklen_t fill_address(Napi::Env env, const std::string& name, sockaddr_un& address) {
  const bool abstract = name[0] == '@';
  // A path's last byte stays NUL.
  if (name.size() + (abstract ? 0 : 1) > sizeof address.sun_path) throw system_error(env, ENAMETOOLONG, "sendto");
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (abstract) address.sun_path[0] = '\0';
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1));
}

Napi::Value datagram_socket(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw system_error(env, errno, "socket");
  return Napi::Number::New(env, fd.release());
}

Napi::Value send_datagram(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int socket = fd_argument(info, 0, "socket");
  const std::string name = path_argument(info, 1, "name");
  std::span<uint8_t> data = bytes_argument(info, 2, "data");
  sockaddr_un address{};
  const socklen_t length = fill_address(env, name, address);
  ssize_t sent;
  do {
    sent = ::sendto(socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                    reinterpret_cast<const sockaddr*>(&address), length);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw system_error(env, errno, "sendto");
  return env.Undefined();
}

}  // namespace

void export_datagrams(Napi::Object exports) {
  set_function(exports, "datagramSocket", datagram_socket);
  set_function(exports, "sendDatagram", send_datagram);
}

}  // namespace perfbroker::addon
