// The tracer: serves requests of tracer_protocol.h from a socket, each in a process of its own. That process holds
// nobody's threads longer than its request takes, outlives this one if it must, and when it ends the kernel lets go of
// whatever it still holds.
#pragma once

#include "monitor/client.h"

namespace perfbroker {

struct TracerConfig {
  int socket = -1;    // the tracer's end of the SEQPACKET socketpair
  int proc_dir = -1;  // /proc, O_PATH
  SocketAddress listener{};
};

// Serves until the broker closes its end. Returns the process's exit code; kMalformedExitCode after a malformed request,
// which can only come from a broker that was taken over. Announces itself first.
int serve_tracer(const TracerConfig& config);

// Allow-list, and no other process but by plain fork. 0 or errno; no_new_privs must be set.
int install_tracer_filter();

}  // namespace perfbroker
