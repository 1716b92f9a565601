// The listening socket: bound here, or passed by LISTEN_FDS (sd_listen_fds(3)).
#pragma once

#include "core/client.h"
#include "monitor/options.h"

namespace perfbroker {

// `fd` does not block. It is empty on failure, which has been reported.
struct Listener {
  UniqueFd fd;
  SocketAddress address{};
};

Listener make_listener(const Options& options);

// Removes the socket file of a daemon that has ended. Returns null, or the reason why the path
// cannot be used: any other file stays.
const char* clear_stale(const char* path, const SocketAddress& address);

}  // namespace perfbroker
