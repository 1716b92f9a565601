// The seccomp filters of the three parts. Each returns 0 or an errno; no_new_privs must be set.
#pragma once

namespace perfbroker {

int install_opener_filter();   // allow-list, else the process is killed
int install_monitor_filter();  // allow-list, else the process is killed
int install_broker_filter();   // what node never needs gives EPERM

}  // namespace perfbroker
