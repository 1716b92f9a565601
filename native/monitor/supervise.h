// The monitor's life after the start: it waits.
#pragma once

#include <span>

#include "monitor/parts.h"

namespace perfbroker {

// Until every part has ended. SIGTERM and SIGINT end in order, within a deadline; SIGHUP goes to the broker. When a part
// dies unasked the others are ended. `signals`: a signalfd of these and SIGCHLD. Returns the daemon's exit code.
int supervise(Part& opener, Part& broker, int signals);

}  // namespace perfbroker
