// Capability sets of the calling thread, capabilities(7), by the raw system calls: capset(2) acts
// on one thread, which is right here because every caller is still single-threaded.
#pragma once

#include "core/linux.h"

namespace perfbroker {

inline constexpr const char* kCapabilityNames[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH",
    "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT",
    "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
    "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
    "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};

// Returns "PERFMON" for CAP_PERFMON.
const char* cap_name(unsigned cap);

struct CapSets {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
};

constexpr uint64_t cap_bit(unsigned cap) { return uint64_t{1} << cap; }

// The two arguments of capset(2), one behind the other.
struct CapsetArguments {
  __user_cap_header_struct header;
  __user_cap_data_struct data[2];
};
CapsetArguments pack_caps(const CapSets& sets);

// All sets are empty when capget(2) fails.
CapSets get_caps();

// These return 0 or an errno.
int set_caps(const CapSets& sets);
int clear_ambient();

// Needs CAP_SETPCAP.
int empty_bounding();

// Needs CAP_SETPCAP. Afterwards root's id, setuid and ambient capabilities give no privilege.
int lock_securebits();

}  // namespace perfbroker
