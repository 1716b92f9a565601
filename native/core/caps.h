// Capability sets of the calling thread, by the raw system calls: capset(2) acts on one thread,
// which is right here because every caller is still single-threaded. See capabilities(7).
#pragma once

#include <linux/securebits.h>

#include "core/linux.h"

namespace perfbroker {

inline constexpr const char* kCapabilityNames[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH",
    "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT",
    "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
    "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
    "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

// "PERFMON", as in CAP_PERFMON.
inline const char* cap_name(unsigned cap) {
  return cap < std::size(kCapabilityNames) ? kCapabilityNames[cap] : "(unknown)";
}

struct CapSets {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
};

constexpr uint64_t cap_bit(unsigned cap) { return uint64_t{1} << cap; }

// All zero when capget(2) fails.
inline CapSets get_caps() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct d[2] = {};
  if (syscall(SYS_capget, &header, d) != 0) return {};
  const auto join = [](uint32_t low, uint32_t high) { return low | uint64_t{high} << 32; };
  return {join(d[0].effective, d[1].effective), join(d[0].permitted, d[1].permitted),
      join(d[0].inheritable, d[1].inheritable)};
}

// The rest return 0 or a positive errno.
inline int set_caps(const CapSets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto half = [](uint64_t set, int shift) { return static_cast<uint32_t>(set >> shift); };
  const __user_cap_data_struct data[2] = {
      {half(sets.effective, 0), half(sets.permitted, 0), half(sets.inheritable, 0)},
      {half(sets.effective, 32), half(sets.permitted, 32), half(sets.inheritable, 32)}};
  return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

inline int clear_ambient() {
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 ? 0 : errno;
}

// Needs CAP_SETPCAP. EINVAL: past the kernel's last capability.
inline int empty_bounding() {
  unsigned cap = 0;
  while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) cap++;
  return errno == EINVAL ? 0 : errno;
}

// Needs CAP_SETPCAP. Root's id, setuid and ambient capabilities mean nothing from then on.
inline int lock_securebits() {
  constexpr unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) == 0 ? 0 : errno;
}

}  // namespace perfbroker
