// Taking capabilities from a live process in all its threads.
#pragma once

#include "tracer/attach.h"

namespace perfbroker {

struct Order {
  uint64_t drop;  // capability bits
  bool no_new_privs, dry_run;
  uint32_t deadline;  // ms
  protocol::Identity expected;
};

struct Outcome {
  tracer_protocol::Status status;
  uint32_t detail = 0;
  pid_t tid = 0;
  uint32_t stopped = 0;                                   // microseconds
  std::span<tracer_protocol::ThreadResult> results = {};  // static memory
};

// Runs once in a process: its data is in static memory, and threads that could not be stopped stay
// attached until the process ends. SIGALRM must have a handler that does not restart calls.
// `proc_dir`: /proc.
Outcome downgrade(int proc_dir, const Process& process, const Order& order);

}  // namespace perfbroker
