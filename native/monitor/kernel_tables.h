// Facts about the kernel that the processes could not read after the drop, read once at start.
#pragma once

#include "core/linux.h"

namespace perfbroker {

// The type numbers of PMUs whose config fields are pointers into the opener. Every number
// (OpenerConfig::kEveryType) when sysfs is not readable.
std::vector<uint32_t> read_pointer_pmus();

// A sealed memfd of lines "subsystem:event id". Empty when tracefs is not mounted, which it
// reports.
UniqueFd collect_tracepoints();

}  // namespace perfbroker
