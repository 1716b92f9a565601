// What the parts could not read after the drop, read once at start.
#pragma once

#include <cstdint>
#include <vector>

#include "core/unique_fd.h"

namespace perfbroker {

// Type numbers of the PMUs whose config fields are pointers (kprobe, uprobe). False when sysfs does not tell.
bool read_pointer_pmus(std::vector<uint32_t>& types);

// A sealed memfd of lines "subsystem:event id"; empty when tracefs is not mounted, which it reports.
UniqueFd collect_tracepoints();

}  // namespace perfbroker
