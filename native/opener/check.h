// The checks of a request that its bytes alone allow. No system calls here.
#pragma once

#include "core/linux.h"
#include "protocol/opener.h"

namespace perfbroker {

// Returns null for a well-formed event, or a name for the fault.
const char* find_event_malformation(const protocol::EventFields& event);

// Returns null for a well-formed request, or a name for the fault. The broker validates everything
// before it sends, so a malformed request means that the broker is compromised.
const char* find_malformation(const protocol::Request& request, size_t fd_count);

// The ceiling classes that an open request needs by its events and its kind of target. kOtherUsers
// is never among them: it depends on the target itself.
uint32_t classes_of(const protocol::Request& request);

// The number of the dynamic PMU that an event names; 0: none. Generalised events name the PMU of a
// hybrid machine in the upper half of config.
uint32_t dynamic_pmu(const protocol::EventFields& event);

}  // namespace perfbroker
