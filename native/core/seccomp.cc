#include "core/seccomp.h"

#include <linux/audit.h>

namespace perfbroker {

namespace {

#ifdef __aarch64__
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
static_assert(SYS_read == 0, "the system call filters know x86-64 and aarch64");
#endif

// __X32_SYSCALL_BIT: no native call of either architecture has it.
constexpr uint32_t kX32Bit = 0x40000000;

}  // namespace

SeccompFilter::SeccompFilter() {
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  add(BPF_RET | BPF_K, kKill);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  add(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1);
  add(BPF_RET | BPF_K, kKill);
}

void SeccompFilter::on(long call, uint32_t action) {
  add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
  add(BPF_RET | BPF_K, action);
}

// Both architectures are little-endian: the low half of an argument comes first.
void SeccompFilter::on_bits(
    long call, unsigned argument, uint32_t mask, uint32_t set, uint32_t clear) {
  const size_t offset = offsetof(seccomp_data, args) + argument * sizeof(uint64_t);
  add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4);
  add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
  add(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1);
  add(BPF_RET | BPF_K, set);
  add(BPF_RET | BPF_K, clear);
}

int SeccompFilter::install(uint32_t otherwise) {
  add(BPF_RET | BPF_K, otherwise);
  if (length_ > kCapacity) return E2BIG;
  const sock_fprog program{static_cast<unsigned short>(length_), program_};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
}

void SeccompFilter::add(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) {
  if (length_++ < kCapacity) program_[length_ - 1] = {code, yes, no, k};
}

int install_allow_list(SeccompFilter& filter, std::span<const long> more) {
  filter.on_bits(SYS_openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND, kKill, kAllow);
  constexpr long common[] = {SYS_read, SYS_write, SYS_close, SYS_ppoll, SYS_newfstatat, SYS_fstat,
      SYS_getdents64, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall, SYS_clock_gettime,
      SYS_wait4};
  for (const long call : common) filter.on(call, kAllow);
  for (const long call : more) filter.on(call, kAllow);
  return filter.install(kKill);
}

}  // namespace perfbroker
