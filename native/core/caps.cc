#include "core/caps.h"

#include <linux/securebits.h>

namespace perfbroker {

const char* cap_name(unsigned cap) {
  return cap < std::size(kCapabilityNames) ? kCapabilityNames[cap] : "(unknown)";
}

CapsetArguments pack_caps(const CapSets& sets) {
  const auto half = [&sets](int shift) {
    return __user_cap_data_struct{static_cast<uint32_t>(sets.effective >> shift),
        static_cast<uint32_t>(sets.permitted >> shift),
        static_cast<uint32_t>(sets.inheritable >> shift)};
  };
  return {{_LINUX_CAPABILITY_VERSION_3, 0}, {half(0), half(32)}};
}

CapSets get_caps() {
  CapsetArguments a{{_LINUX_CAPABILITY_VERSION_3, 0}, {}};
  if (syscall(SYS_capget, &a.header, a.data) != 0) return {};
  const auto join = [](uint32_t low, uint32_t high) { return low | uint64_t{high} << 32; };
  return {join(a.data[0].effective, a.data[1].effective),
      join(a.data[0].permitted, a.data[1].permitted),
      join(a.data[0].inheritable, a.data[1].inheritable)};
}

int set_caps(const CapSets& sets) {
  const CapsetArguments a = pack_caps(sets);
  return syscall(SYS_capset, &a.header, a.data) == 0 ? 0 : errno;
}

int clear_ambient() {
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 ? 0 : errno;
}

int empty_bounding() {
  unsigned cap = 0;
  while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) cap++;
  return errno == EINVAL ? 0 : errno;  // EINVAL: above the kernel's last capability
}

int lock_securebits() {
  constexpr unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) == 0 ? 0 : errno;
}

}  // namespace perfbroker
