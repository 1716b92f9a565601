// Taking capabilities from this process so that a program which it executes lacks them too:
// capset(2) alone is undone by execve(2) for uid 0, by setuid programs and by file capabilities.
// capabilities(7), "Transformation of capabilities during execve()".
#pragma once

#include <string>

#include "core/caps.h"

namespace perfbroker {

// drop: capability bits, --keep taken off. named: --drop was given, and not left to the default.
struct Downgrade {
  uint64_t drop = cap_bit(CAP_PERFMON) | cap_bit(CAP_SYS_ADMIN);
  bool named = false, no_new_privs = false, lock = false;
};

// "PERFMON,cap_sys_admin" or "all" to bits. False when a name is unknown: `list` then begins with
// it.
bool parse_capabilities(std::string_view& list, uint64_t& bits);

// Returns the failed step; empty on success. The process must be single-threaded.
std::string apply_downgrade(const Downgrade& downgrade);

// Checks /proc/self/status. Returns the first fault: that a set still holds a capability, or that a
// program could bring it back. Empty: nothing.
std::string verify_downgrade(const Downgrade& downgrade);

}  // namespace perfbroker
