// A seccomp filter (seccomp(2)), written instruction by instruction: a list of system calls with what happens to
// each, and a default. Calls of another architecture kill the process, x32's included.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace perfbroker {

inline constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
inline constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

class SeccompFilter {
 public:
  SeccompFilter();
  void on(long call, uint32_t action);
  // By the low 32 bits of an argument: `set` when any bit of `mask` is, else `clear`.
  void on_bits(long call, unsigned argument, uint32_t mask, uint32_t set, uint32_t clear);
  // For the calling thread, which must be the only one and must have no_new_privs. 0 or errno.
  int install(uint32_t otherwise);

 private:
  void add(uint16_t code, uint32_t k, uint8_t yes = 0, uint8_t no = 0);

  sock_filter program_[320];
  size_t length_ = 0;  // past the end: the program did not fit and install() refuses it
};

}  // namespace perfbroker
