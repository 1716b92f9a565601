// The opener: its workers serve requests of protocol.h, each those of one channel. It believes the
// broker nothing that it can ask the kernel for.
#pragma once

#include "core/client.h"
#include "opener/rings.h"

namespace perfbroker {

struct OpenerConfig {
  int socket = -1;    // the opener's end of the SEQPACKET socketpair; a worker's: its channel
  int proc_dir = -1;  // /proc, O_PATH
  SocketAddress listener{};
  uint32_t ceiling = 0;  // protocol::Ceiling bits
  // Dynamic PMUs that are refused: kprobe and uprobe, whose config1 is a pointer into the opener.
  static constexpr uint32_t kEveryType = ~0u;
  std::span<const uint32_t> forbidden_types = {};
};

enum class Served { kReplied, kEnded, kMalformed };

// A worker: one request. Receives it, serves it, replies, and returns when the broker has closed
// its end or sent the next one: it may count on the worker's copies of the fds until then. kEnded:
// the broker has closed its end.
Served serve_one(const OpenerConfig& config, Rings& rings);

// Announces itself with a reply of serial 0, which the broker waits for, and serves until the end.
// Returns the process's exit code, a worker's too.
int serve(const OpenerConfig& config, Workers& workers);

}  // namespace perfbroker
