// Starting the opener and the broker: fork, drop, prove, run.
#pragma once

#include <string>
#include <vector>

#include "core/unique_fd.h"
#include "monitor/drop.h"
#include "monitor/listener.h"
#include "monitor/opener.h"

namespace perfbroker {

struct Part {
  const char* name;
  pid_t pid = -1;
  UniqueFd status;  // the child writes one byte: 0 when its proof held, else the code to exit with; EOF: it runs
  UniqueFd go;      // the broker executes node when it gets one byte here
};

// Waits for the next byte of a part's status. -1 is EOF.
int read_status_byte(const Part& part);

Part start_opener(const Privileges& privileges, const OpenerConfig& config);

struct BrokerFds {
  int listener, opener, audit, tracepoints;  // -1: none
  int root;                                  // the install root, O_PATH
  int node;                                  // O_PATH
  int proc_dir;
};

Part start_broker(const Privileges& privileges, const BrokerFds& fds, const std::string& node,
                  const std::vector<std::string>& arguments, const std::string& policy);

}  // namespace perfbroker
