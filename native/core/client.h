// The client at the other end of the connection that came with a request, as reported by the
// kernel.
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

// uid, gid: effective, as of connect(2). known: its process runs under the ids with which it
// connected, and the other fields are valid.
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

bool is_unix_stream(int socket, bool wants_listening);

// Reads a socket's own name. False when it has none.
bool read_address(int socket, SocketAddress& address);

// True when `connection` was accepted on the listener of this address. Fills in the client's ids.
bool identify_client(int connection, const SocketAddress& listener, Client& client);

// Adds what /proc shows of the client's process. Separate, as only the same-user check needs it.
void examine_client(int connection, int proc_dir, Client& client);

// The differences (protocol::Mismatch bits) from the identity that the broker decided upon.
uint32_t identity_mismatch(const protocol::Identity& seen, const protocol::Identity& expected);

// The obstacles (protocol::Mismatch bits) that the kernel's PTRACE_MODE_READ_REALCREDS check would
// find, ptrace(2).
uint32_t same_user_obstacles(
    const Client& client, const protocol::Identity& target, bool target_in_own_namespace);

}  // namespace perfbroker
