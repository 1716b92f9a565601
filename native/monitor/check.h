// What can be said of a request from its bytes alone. No system calls here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "monitor/protocol.h"

namespace perfbroker {

// Why a request is malformed, or null. The broker validates all of it before it sends, so a malformed request means
// that the broker was taken over.
const char* find_malformation(const protocol::Request& request, size_t fd_count);

// The ceiling classes that an open request needs by its events and kind of target. kOtherUsers is not among them:
// that takes a look at the target.
uint32_t classes_of(const protocol::Request& request);

}  // namespace perfbroker
