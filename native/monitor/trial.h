// Which capability this kernel demands for what the opener does, found out by trying: CAP_PERFMON may be held and not
// be enough (Debian's and Ubuntu's kernels at kernel.perf_event_paranoid 3 and above ask for CAP_SYS_ADMIN).
#pragma once

#include <optional>

namespace perfbroker {

struct Capability {
  unsigned number;
  const char* name;
};

// kernel.perf_event_paranoid; 2 when it can not be read.
int read_paranoid_level();

// The weakest held capability that works. When there is none, says why and what to do.
std::optional<Capability> find_capability();

}  // namespace perfbroker
