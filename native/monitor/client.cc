#include "monitor/client.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "monitor/process.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif

namespace perfbroker {

namespace {

bool socket_option(int socket, int option, void* value, socklen_t size) {
  socklen_t length = size;
  return getsockopt(socket, SOL_SOCKET, option, value, &length) == 0 && length == size;
}

UniqueFd open_peer(int connection) {
  int pidfd = -1;
  if (socket_option(connection, SO_PEERPIDFD, &pidfd, sizeof pidfd)) return UniqueFd(pidfd);
  ucred peer{};
  if (errno != ENOPROTOOPT || !socket_option(connection, SO_PEERCRED, &peer, sizeof peer) || peer.pid <= 0) return {};
  // Older kernels: the number may belong to another process by now. It is believed only when that one runs under the
  // very ids that connected, and then lends the client nothing but its own user's rights.
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

}  // namespace

bool identify_client(int connection, const SocketAddress& listener, Client& client) {
  int domain = -1, type = -1, listening = -1;
  if (!socket_option(connection, SO_DOMAIN, &domain, sizeof domain) || domain != AF_UNIX ||
      !socket_option(connection, SO_TYPE, &type, sizeof type) || type != SOCK_STREAM ||
      !socket_option(connection, SO_ACCEPTCONN, &listening, sizeof listening) || listening != 0) {
    return false;
  }
  sockaddr_un name{};
  socklen_t length = sizeof name;
  if (getsockname(connection, reinterpret_cast<sockaddr*>(&name), &length) != 0 || length != listener.length ||
      length <= sizeof(sa_family_t) || memcmp(&name, &listener.value, length) != 0) {
    return false;
  }
  ucred peer{};
  if (!socket_option(connection, SO_PEERCRED, &peer, sizeof peer) || peer.uid == static_cast<uid_t>(-1)) return false;
  client.uid = peer.uid;
  client.gid = peer.gid;
  return true;
}

void examine_client(int connection, int proc_dir, Client& client) {
  const UniqueFd pidfd = open_peer(connection);
  if (!pidfd) return;
  Result<Process> process = open_process(proc_dir, pidfd.get());
  if (!process) return;
  Result<protocol::Identity> identity = read_identity(process->directory.get());
  if (!identity) return;
  // A client may connect and then execute a program with more rights than its own, keeping the connection in another
  // process: that program's capabilities are not the client's.
  for (int i = 0; i < 3; i++) {
    if (identity->uid[i] != client.uid || identity->gid[i] != client.gid) return;
  }
  if (identity->dumpable == 0) return;
  const UniqueFd self(openat(proc_dir, "self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  client.permitted = identity->permitted;
  client.same_user_namespace = self && same_user_namespace(process->directory.get(), self.get());
  client.process_known = pidfd_alive(pidfd.get());
}

uint32_t same_user_obstacles(const Client& client, const protocol::Identity& target, bool target_in_own_namespace) {
  using namespace protocol;
  uint32_t obstacles = 0;
  for (int i = 0; i < 3; i++) {
    if (target.uid[i] != client.uid) obstacles |= kMismatchUid;
    if (target.gid[i] != client.gid) obstacles |= kMismatchGid;
  }
  const uint64_t permitted = client.process_known ? client.permitted : 0;
  if ((target.permitted & ~permitted) != 0) obstacles |= kMismatchCapabilities;
  if (target.dumpable == 0) obstacles |= kMismatchDumpable;
  if (!client.process_known || !client.same_user_namespace || !target_in_own_namespace) {
    obstacles |= kMismatchUserNamespace;
  }
  return obstacles;
}

}  // namespace perfbroker
