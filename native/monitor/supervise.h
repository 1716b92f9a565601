// The monitor after the start: it waits for its children.
#pragma once

#include "monitor/child_process.h"

namespace perfbroker {

// Returns the daemon's exit code when every child has ended; a child that survives even SIGKILL is
// left behind. SIGTERM and SIGINT stop the daemon: the broker gets a SIGTERM, and the helpers exit
// by themselves when the broker has closed its ends. SIGHUP goes to the broker. When a child dies
// unexpectedly the others are stopped. `signals`: a signalfd of these, SIGCHLD and SIGALRM.
int supervise(std::span<ChildProcess> children, const ChildProcess& broker, int signals);

// The allow-list of the monitor: waiting, and ending its children. 0 or errno; no_new_privs must be
// set.
int install_monitor_filter();

}  // namespace perfbroker
