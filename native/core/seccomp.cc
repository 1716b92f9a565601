#include "core/seccomp.h"

#include <linux/audit.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace perfbroker {

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the system call filters know x86-64 and aarch64"
#endif
constexpr uint32_t kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT: no native call has it, on either architecture
constexpr size_t kCapacity = 320;

}  // namespace

SeccompFilter::SeccompFilter() {
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  add(BPF_RET | BPF_K, kKill);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  add(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1);
  add(BPF_RET | BPF_K, kKill);
}

void SeccompFilter::add(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) {
  if (length_ < kCapacity) program_[length_] = {code, yes, no, k};
  length_++;
}

void SeccompFilter::on(long call, uint32_t action) {
  add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
  add(BPF_RET | BPF_K, action);
}

void SeccompFilter::on_bits(long call, unsigned argument, uint32_t mask, uint32_t set, uint32_t clear) {
  // Both architectures are little-endian: the low half of an argument comes first.
  const auto low = static_cast<uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(uint64_t));
  add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4);
  add(BPF_LD | BPF_W | BPF_ABS, low);
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

}  // namespace perfbroker
