// Capability sets of the calling thread, by the raw system calls: capset(2) acts on one thread, which is right here
// because every caller is still single-threaded. See capabilities(7).
#pragma once

#include <cstdint>

#include "core/result.h"

namespace perfbroker {

struct CapSets {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
};

constexpr uint64_t cap_bit(unsigned cap) { return uint64_t{1} << cap; }

Result<CapSets> get_caps();
// The rest return 0 or a positive errno.
int set_caps(const CapSets& sets);
int clear_ambient();
int empty_bounding();    // needs CAP_SETPCAP
int lock_securebits();   // needs CAP_SETPCAP; root's id, setuid and ambient capabilities mean nothing from then on

// "CAP_PERFMON"; "CAP_UNKNOWN" for those that are newer than this table.
const char* cap_name(unsigned cap);

}  // namespace perfbroker
