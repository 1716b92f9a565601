// Who is at the other end of the connection that came with a request, by the kernel's word.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>

#include "monitor/protocol.h"

namespace perfbroker {

struct SocketAddress {
  sockaddr_un value;
  socklen_t length;
};

struct Client {
  uint32_t uid = 0, gid = 0;        // effective, as of connect(2)
  bool process_known = false;       // the rest is valid: the process still runs, under the ids it connected with
  uint64_t permitted = 0;
  bool same_user_namespace = false; // as this process
};

// Whether `connection` was accepted on the listener of this address (an accepted socket has its listener's name, and
// the broker may not bind), and who connected.
bool identify_client(int connection, const SocketAddress& listener, Client& client);

// Adds what /proc knows of the client's process. Separate, as only the same-user check needs it.
void examine_client(int connection, int proc_dir, Client& client);

// The obstacles (protocol::Mismatch bits) that the kernel's PTRACE_MODE_READ_REALCREDS check would find, ptrace(2).
uint32_t same_user_obstacles(const Client& client, const protocol::Identity& target, bool target_in_own_namespace);

}  // namespace perfbroker
