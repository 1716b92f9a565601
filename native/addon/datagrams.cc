// AF_UNIX datagrams to a named socket: what sd_notify(3) and journald's native protocol are made
// of.
#include <fcntl.h>
#include <sys/mman.h>
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
  if (name.size() + (abstract ? 0 : 1) > sizeof address.sun_path)
    throw system_error(env, ENAMETOOLONG, "sendto");
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

// journald of systemd 252 refuses any seal except the four that it knows, and MFD_NOEXEC_SEAL
// adds one. So it comes last, for vm.memfd_noexec=2; kernels before 6.3 know neither flag.
UniqueFd create_memory_file() {
  constexpr unsigned kNoExecSeal = 8, kExec = 16;  // MFD_NOEXEC_SEAL, MFD_EXEC
  UniqueFd file;
  for (const unsigned flag : {kExec, 0u, kNoExecSeal}) {
    file.reset(memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING | flag));
    if (file || (errno != EINVAL && errno != EACCES)) break;
  }
  return file;
}

// Throws; else the file holds all of `data` and stays as it is.
UniqueFd sealed_file(Napi::Env env, std::span<const uint8_t> data) {
  UniqueFd file = create_memory_file();
  if (!file) throw system_error(env, errno, "memfd_create");
  while (!data.empty()) {
    const ssize_t written = ::write(file.get(), data.data(), data.size());
    if (written < 0 && errno != EINTR) throw system_error(env, errno, "write");
    if (written > 0) data = data.subspan(static_cast<size_t>(written));
  }
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) !=
      0) {
    throw system_error(env, errno, "fcntl");
  }
  return file;
}

// A datagram without a byte, and one fd: core/scm.h sends bytes with every fd, and to a socket that
// is connected.
Napi::Value send_sealed_file(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int socket = fd_argument(info, 0, "socket");
  const std::string name = path_argument(info, 1, "name");
  const UniqueFd file = sealed_file(env, bytes_argument(info, 2, "data"));
  sockaddr_un address{};
  const socklen_t length = fill_address(env, name, address);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = length;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = file.get();
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) throw system_error(env, errno, "sendmsg");
  return env.Undefined();
}

}  // namespace

void export_datagrams(Napi::Object exports) {
  set_function(exports, "datagramSocket", datagram_socket);
  set_function(exports, "sendDatagram", send_datagram);
  set_function(exports, "sendSealedFile", send_sealed_file);
}

}  // namespace perfbroker::addon
