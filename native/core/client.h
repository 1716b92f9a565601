// Who is at the other end of the connection that came with a request, by the kernel's word.
#pragma once

#include "core/proc.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif

namespace perfbroker {

struct SocketAddress {
  sockaddr_un value;
  socklen_t length;
};

// uid, gid: effective, as of connect(2). known: its process runs, under the ids it connected with,
// and the rest is valid.
struct Client {
  uint32_t uid = 0, gid = 0;
  bool known = false, in_own_namespace = false;
  uint64_t permitted = 0;
};

template <typename T>
bool socket_option(int socket, int option, T& value) {
  socklen_t length = sizeof value;
  return getsockopt(socket, SOL_SOCKET, option, &value, &length) == 0 && length == sizeof value;
}

inline bool is_unix_stream(int socket, bool wants_listening) {
  int domain = -1, type = -1, listening = -1;
  return socket_option(socket, SO_DOMAIN, domain) && domain == AF_UNIX &&
         socket_option(socket, SO_TYPE, type) && type == SOCK_STREAM &&
         socket_option(socket, SO_ACCEPTCONN, listening) && (listening != 0) == wants_listening;
}

// A socket's own name. False when it has none.
inline bool read_address(int socket, SocketAddress& address) {
  address.length = sizeof address.value;
  return getsockname(socket, reinterpret_cast<sockaddr*>(&address.value), &address.length) == 0 &&
         address.length > sizeof(sa_family_t);
}

// Whether `connection` was accepted on the listener of this address (an accepted socket has its
// listener's name, and the broker may not bind), and who connected. A name is a text, which anybody
// can give to a socket in a mount namespace of his own and connect it to a service of root's: the
// credentials at that service's end would be root's. But the service's end is named, as nobody
// listens without a name, and a client's is not.
inline bool identify_client(int connection, const SocketAddress& listener, Client& client) {
  SocketAddress name{};
  ucred peer{};
  char peer_name[sizeof(sa_family_t) + 1];  // more than an unnamed end has, which is EINVAL
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

inline UniqueFd open_peer(int connection) {
  int pidfd = -1;
  if (socket_option(connection, SO_PEERPIDFD, pidfd)) return UniqueFd(pidfd);
  ucred peer{};
  if (errno != ENOPROTOOPT || !socket_option(connection, SO_PEERCRED, peer) || peer.pid <= 0)
    return {};
  // Older kernels: the number may belong to another process by now. It is believed only when that
  // one runs under the very ids that connected, and so lends the client nothing but its own user's
  // rights.
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
}

// Adds what /proc knows of the client's process. Separate, as only the same-user check needs it.
inline void examine_client(int connection, int proc_dir, Client& client) {
  const UniqueFd pidfd = open_peer(connection);
  Process process;
  protocol::Identity identity;
  if (!open_process(proc_dir, pidfd.get(), process) ||
      !read_identity(process.directory.get(), identity))
    return;
  // A client may connect, keep the connection in another process and execute a program with more
  // rights than its own: that program's capabilities are not the client's.
  if (identity.dumpable == 0) return;
  for (int i = 0; i < 3; i++) {
    if (identity.uid[i] != client.uid || identity.gid[i] != client.gid) return;
  }
  client.permitted = identity.permitted;
  client.in_own_namespace = in_own_user_namespace(proc_dir, process.directory.get());
  client.known = pidfd_alive(pidfd.get());
}

// What is not as it was decided upon (protocol::Mismatch bits).
inline uint32_t identity_mismatch(
    const protocol::Identity& seen, const protocol::Identity& expected) {
  uint32_t mismatch =
      seen.start_time != expected.start_time ? uint32_t{protocol::kMismatchStartTime} : 0;
  if (memcmp(seen.uid, expected.uid, sizeof seen.uid) != 0) mismatch |= protocol::kMismatchUid;
  if (memcmp(seen.gid, expected.gid, sizeof seen.gid) != 0) mismatch |= protocol::kMismatchGid;
  if (seen.permitted != expected.permitted) mismatch |= protocol::kMismatchCapabilities;
  return seen.dumpable == expected.dumpable ? mismatch : mismatch | protocol::kMismatchDumpable;
}

// The obstacles (protocol::Mismatch bits) that the kernel's PTRACE_MODE_READ_REALCREDS check would
// find, ptrace(2).
inline uint32_t same_user_obstacles(
    const Client& client, const protocol::Identity& target, bool target_in_own_namespace) {
  using namespace protocol;
  uint32_t obstacles = 0;
  for (int i = 0; i < 3; i++) {
    if (target.uid[i] != client.uid) obstacles |= kMismatchUid;
    if (target.gid[i] != client.gid) obstacles |= kMismatchGid;
  }
  if ((target.permitted & ~(client.known ? client.permitted : 0)) != 0)
    obstacles |= kMismatchCapabilities;
  if (target.dumpable == 0) obstacles |= kMismatchDumpable;
  if (!client.known || !client.in_own_namespace || !target_in_own_namespace)
    obstacles |= kMismatchUserNamespace;
  return obstacles;
}

}  // namespace perfbroker
