// The opener: serves requests of protocol.h from a socket, one after the other. It believes the broker nothing that it
// can ask the kernel for, and keeps no state but the rings.
#pragma once

#include "monitor/client.h"
#include "monitor/rings.h"

namespace perfbroker {

inline constexpr int kMalformedExitCode = 9;

struct OpenerConfig {
  int socket = -1;    // the opener's end of the SEQPACKET socketpair
  int proc_dir = -1;  // /proc, O_PATH
  SocketAddress listener{};
  uint32_t ceiling = 0;                             // protocol::Ceiling bits
  // Dynamic PMUs that are refused: kprobe and uprobe, whose config1 is a pointer into the opener.
  static constexpr uint32_t kEveryType = ~0u;
  std::span<const uint32_t> forbidden_types = {};
};

enum class Served { kReplied, kEnded, kMalformed };

// One request: receives it, serves it, replies. kEnded: the broker has closed its end.
Served serve_one(const OpenerConfig& config, Rings& rings);

// Announces itself with a reply of serial 0, which the broker waits for, and serves until the end. Returns the
// process's exit code.
int serve(const OpenerConfig& config);

}  // namespace perfbroker
