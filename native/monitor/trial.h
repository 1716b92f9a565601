// Finds out by a trial which capability this kernel demands for the opener's work: CAP_PERFMON may
// be held and not suffice (the kernels of Debian and Ubuntu require CAP_SYS_ADMIN if
// kernel.perf_event_paranoid is 3 or more).
#pragma once

#include <cstdint>

namespace perfbroker {

// Returns the weakest of the held capabilities that works; 0 when there is none, which it reports.
unsigned find_capability(uint64_t held);

}  // namespace perfbroker
