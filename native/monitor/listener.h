// The listening socket: bound here, or passed by LISTEN_FDS (sd_listen_fds(3)).
#pragma once

#include "core/unique_fd.h"
#include "monitor/client.h"
#include "monitor/options.h"

namespace perfbroker {

struct Listener {
  UniqueFd fd;  // non-blocking; empty: it failed, and has been reported
  SocketAddress address{};
};

Listener make_listener(const Options& options);

}  // namespace perfbroker
