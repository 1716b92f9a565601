// The tracer: its workers serve requests of tracer_protocol.h, one each. A worker holds threads no
// longer than its request takes, outlives the tracer if it must, and when it ends the kernel
// releases whatever it still holds.
#pragma once

#include "core/client.h"
#include "core/workers.h"

namespace perfbroker {

struct TracerConfig {
  int socket = -1;    // the tracer's end of the SEQPACKET socketpair; a worker's: its channel
  int proc_dir = -1;  // /proc, O_PATH
  SocketAddress listener{};
};

// Serves until the broker closes its end. Returns the process's exit code, a worker's too:
// WorkerExit::kMalformed after a malformed request, which only a compromised broker sends.
// Announces itself first.
int serve_tracer(const TracerConfig& config, Workers& workers);

// Allow-list, and no other process but by plain fork. 0 or errno; no_new_privs must be set.
int install_tracer_filter();

}  // namespace perfbroker
