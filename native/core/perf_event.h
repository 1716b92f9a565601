// struct perf_event_attr, built from typed fields alone, and perf_event_open(2).
#pragma once

#include "core/linux.h"
#include "protocol/opener.h"

namespace perfbroker {

// The published sizes that are sent: VER7 (the last one of Linux 6.2 and older), and VER8 where
// config3 is used.
inline constexpr uint32_t kAttrSizeVer7 = 128, kAttrSizeVer8 = 136;

struct Attr {
  alignas(8) unsigned char bytes[kAttrSizeVer8];
};

// `disabled` is always set; exclude_kernel brings exclude_callchain_kernel with it.
Attr build_attr(const protocol::EventFields& fields);

// PERF_FLAG_FD_CLOEXEC is always set; `flags` adds PERF_FLAG_PID_CGROUP or nothing. Empty: errno.
UniqueFd open_event(const Attr& attr, pid_t pid, int cpu, int group, unsigned long flags);

}  // namespace perfbroker
