// The tracer: its workers serve one request of protocol/tracer.h each. A worker holds threads no
// longer than its request takes, and outlives the tracer if it must. When it ends, the kernel
// releases every thread that it still holds.
#pragma once

#include "core/workers.h"

namespace perfbroker {

// Announces itself first. Serves until the broker closes its end. Returns the exit code of the
// process, in a worker as well.
int serve_tracer(const HelperConfig& config, Workers& workers);

// An allow-list; it forbids any new process except by plain fork. 0 or errno; no_new_privs must be
// set.
int install_tracer_filter();

}  // namespace perfbroker
