// System call filters, seccomp(2): a list of system calls with the action for each, and a default.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "core/linux.h"

namespace perfbroker {

inline constexpr uint32_t kAllow = SECCOMP_RET_ALLOW, kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

class SeccompFilter {
 public:
  // Calls of another architecture kill the process, x32's included.
  SeccompFilter();

  void on(long call, uint32_t action);

  // Decides by the low 32 bits of an argument: `set` when any bit of `mask` is set, else `clear`.
  void on_bits(long call, unsigned argument, uint32_t mask, uint32_t set, uint32_t clear);

  // For the calling thread, which must be the only one and must have no_new_privs. 0 or errno.
  int install(uint32_t otherwise);

 private:
  void add(uint16_t code, uint32_t k, uint8_t yes = 0, uint8_t no = 0);

  // Not a vector: freeing one behind an allow-list could call brk(2).
  static constexpr size_t kCapacity = 320;
  sock_filter program_[kCapacity];
  size_t length_ = 0;
};

// An allow-list for a native process: `more`, and the calls that all of them need to read /proc, to
// write a line on stderr and to exit. Any other call kills the process. 0 or errno.
int install_allow_list(SeccompFilter& filter, std::span<const long> more);

}  // namespace perfbroker
