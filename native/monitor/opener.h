// The opener: serves requests of protocol.h from a socket, one after the other. It believes the broker nothing that it
// can ask the kernel for, and keeps no state but the rings.
#pragma once

#include <span>

#include "monitor/client.h"
#include "monitor/protocol.h"
#include "monitor/rings.h"

namespace perfbroker {

inline constexpr int kMalformedExitCode = 9;

struct OpenerConfig {
  int socket = -1;    // the opener's end of the SEQPACKET socketpair
  int proc_dir = -1;  // /proc, O_PATH
  SocketAddress listener{};
  uint32_t ceiling = 0;                             // protocol::Ceiling bits
  std::span<const uint32_t> forbidden_types = {};   // kprobe, uprobe: config1 is a pointer into the opener
  bool forbid_dynamic_types = false;                // their numbers are not known: every dynamic PMU is refused
};

enum class Served { kReplied, kEnded, kMalformed };

// One request: receives it, serves it, replies. kEnded: the broker has closed its end.
Served serve_one(const OpenerConfig& config, Rings& rings);

// Serves until the end. Returns the process's exit code.
int serve(const OpenerConfig& config);

// "Ready": the reply with serial 0 that the broker waits for.
bool announce(const OpenerConfig& config);

}  // namespace perfbroker
