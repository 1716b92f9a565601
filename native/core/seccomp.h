// A seccomp filter (seccomp(2)), written instruction by instruction: a list of system calls with
// what happens to each, and a default. Calls of another architecture kill the process, x32's
// included.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "core/linux.h"

namespace perfbroker {

inline constexpr uint32_t kAllow = SECCOMP_RET_ALLOW, kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

#ifdef __aarch64__
inline constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
inline constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
static_assert(SYS_read == 0, "the system call filters know x86-64 and aarch64");
#endif

class SeccompFilter {
 public:
  SeccompFilter() {
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
    add(BPF_RET | BPF_K, kKill);
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    add(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0,
        1);  // __X32_SYSCALL_BIT: no native call of either architecture has it
    add(BPF_RET | BPF_K, kKill);
  }

  void on(long call, uint32_t action) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
    add(BPF_RET | BPF_K, action);
  }

  // By the low 32 bits of an argument: `set` when any bit of `mask` is, else `clear`. Both
  // architectures are little-endian: the low half comes first.
  void on_bits(long call, unsigned argument, uint32_t mask, uint32_t set, uint32_t clear) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4);
    add(BPF_LD | BPF_W | BPF_ABS,
        static_cast<uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(uint64_t)));
    add(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1);
    add(BPF_RET | BPF_K, set);
    add(BPF_RET | BPF_K, clear);
  }

  // For the calling thread, which must be the only one and must have no_new_privs. 0 or errno.
  int install(uint32_t otherwise) {
    add(BPF_RET | BPF_K, otherwise);
    if (length_ > kCapacity) return E2BIG;
    const sock_fprog program{static_cast<unsigned short>(length_), program_};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
  }

 private:
  void add(uint16_t code, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    if (length_++ < kCapacity) program_[length_ - 1] = {code, yes, no, k};
  }

  // Not a vector: freed behind an allow-list it could call brk(2).
  static constexpr size_t kCapacity = 320;
  sock_filter program_[kCapacity];
  size_t length_ = 0;
};

}  // namespace perfbroker
