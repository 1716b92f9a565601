// The opener: its workers serve requests of protocol/opener.h, each those of one channel. It checks
// everything that the kernel can tell it instead of trusting the broker.
#pragma once

#include "opener/rings.h"

namespace perfbroker {

// ceiling: protocol::Ceiling bits. forbidden_types: dynamic PMUs that are refused (kprobe and
// uprobe, whose config1 is a pointer into the opener); kEveryType forbids all of them.
struct OpenerConfig : HelperConfig {
  static constexpr uint32_t kEveryType = ~0u;
  uint32_t ceiling = 0;
  std::span<const uint32_t> forbidden_types = {};
};

// Worker: receives one request, serves it and replies. Returns when the broker has closed its end
// or sent the next request: until then it may rely on the worker's copies of the fds. Empty: the
// worker continues. Otherwise it must exit with this code.
std::optional<WorkerExit> serve_one(const OpenerConfig& config, Rings& rings);

// Announces itself with a reply of serial 0, for which the broker waits, and serves until the
// broker closes its end. Returns the exit code of the process, in a worker as well.
int serve_opener(const OpenerConfig& config, Workers& workers);

// The allow-list of the opener and its workers. 0 or errno; no_new_privs must be set.
int install_opener_filter();

}  // namespace perfbroker
