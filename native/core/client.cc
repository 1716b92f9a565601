#include "core/client.h"

namespace perfbroker {

namespace {

UniqueFd open_peer(int connection) {
  int pidfd = -1;
  if (socket_option(connection, SO_PEERPIDFD, pidfd)) return UniqueFd(pidfd);
  ucred peer{};
  if (errno != ENOPROTOOPT || !socket_option(connection, SO_PEERCRED, peer) || peer.pid <= 0)
    return {};
  // Older kernels: the number may belong to another process by now. That process counts only when
  // it runs under the very ids that connected, and so lends the client the rights of its own user
  // alone.
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

}  // namespace

bool is_unix_stream(int socket, bool wants_listening) {
  int domain = -1, type = -1, listening = -1;
  return socket_option(socket, SO_DOMAIN, domain) && domain == AF_UNIX &&
         socket_option(socket, SO_TYPE, type) && type == SOCK_STREAM &&
         socket_option(socket, SO_ACCEPTCONN, listening) && (listening != 0) == wants_listening;
}

bool read_address(int socket, SocketAddress& address) {
  address.length = sizeof address.value;
  return getsockname(socket, reinterpret_cast<sockaddr*>(&address.value), &address.length) == 0 &&
         address.length > sizeof(sa_family_t);
}

// An accepted socket has its listener's name, and the broker may not call bind(2). But a name is
// text: in its own mount namespace any user can give it to a socket and connect that socket to a
// service of root's. The credentials at that service's end would be root's. Such an end has a name,
// as no service listens without one; the end of a client does not.
bool identify_client(int connection, const SocketAddress& listener, Client& client) {
  SocketAddress name{};
  ucred peer{};
  char peer_name[sizeof(sa_family_t) + 1];  // longer than an unnamed end has, which is EINVAL
  const bool ours = is_unix_stream(connection, false) && read_address(connection, name) &&
                    name.length == listener.length &&
                    memcmp(&name.value, &listener.value, name.length) == 0;
  const bool connected = ours && !socket_option(connection, SO_PEERNAME, peer_name) &&
                         errno == EINVAL && socket_option(connection, SO_PEERCRED, peer) &&
                         peer.uid != static_cast<uid_t>(-1);
  client.uid = peer.uid;
  client.gid = peer.gid;
  return connected;
}

void examine_client(int connection, int proc_dir, Client& client) {
  client.known = false;
  const UniqueFd pidfd = open_peer(connection);
  Process process;
  protocol::Identity identity;
  if (!open_process(proc_dir, pidfd.get(), process)) return;
  // A client may connect, keep the connection in another process and execute a program with more
  // rights than its own: that program's capabilities are not the client's.
  if (!read_identity(process.directory.get(), identity) || identity.dumpable == 0) return;
  for (int i = 0; i < 3; i++) {
    if (identity.uid[i] != client.uid || identity.gid[i] != client.gid) return;
  }
  client.permitted = identity.permitted;
  client.in_own_namespace = in_own_user_namespace(proc_dir, process.directory.get());
  client.known = pidfd_alive(pidfd.get());
}

uint32_t identity_mismatch(const protocol::Identity& seen, const protocol::Identity& expected) {
  using namespace protocol;
  uint32_t mismatch = 0;
  if (seen.start_time != expected.start_time) mismatch |= kMismatchStartTime;
  if (memcmp(seen.uid, expected.uid, sizeof seen.uid) != 0) mismatch |= kMismatchUid;
  if (memcmp(seen.gid, expected.gid, sizeof seen.gid) != 0) mismatch |= kMismatchGid;
  if (seen.permitted != expected.permitted) mismatch |= kMismatchCapabilities;
  if (seen.dumpable != expected.dumpable) mismatch |= kMismatchDumpable;
  return mismatch;
}

uint32_t same_user_obstacles(
    const Client& client, const protocol::Identity& target, bool target_in_own_namespace) {
  using namespace protocol;
  const bool same_namespace = client.known && client.in_own_namespace && target_in_own_namespace;
  uint32_t obstacles = same_namespace ? 0 : uint32_t{kMismatchUserNamespace};
  for (int i = 0; i < 3; i++) {
    if (target.uid[i] != client.uid) obstacles |= kMismatchUid;
    if (target.gid[i] != client.gid) obstacles |= kMismatchGid;
  }
  if ((target.permitted & ~(client.known ? client.permitted : 0)) != 0)
    obstacles |= kMismatchCapabilities;
  if (target.dumpable == 0) obstacles |= kMismatchDumpable;
  return obstacles;
}

}  // namespace perfbroker
