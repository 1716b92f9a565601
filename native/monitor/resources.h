// Resources that are opened with privilege and used without.
#pragma once

#include "monitor/listener.h"
#include "monitor/options.h"

namespace perfbroker {

// root: the install root. The ends are those of the socketpairs between the broker and its helpers;
// without --with-tracer those of the tracer are empty.
struct Resources {
  Listener listener;
  UniqueFd proc_dir, root, audit, tracepoints;
  UniqueFd opener_end, broker_end, tracer_end, tracer_broker_end;
  std::vector<uint32_t> pointer_pmus;
};

// Returns -1, or the code to exit with, after a report.
int open_resources(const Options& options, Resources& resources);

}  // namespace perfbroker
