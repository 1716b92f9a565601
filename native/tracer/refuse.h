// The processes that the tracer refuses for every request.
#pragma once

#include "tracer/attach.h"

namespace perfbroker {

// init, kernel threads, the processes of this daemon and its ancestors. `proc_dir`: /proc.
tracer_protocol::Refusal refuse_process(int proc_dir, const Process& process);

// Threads that another process traces, and those whose system calls are filtered: a filter may
// answer an injected call by killing the process, and only CAP_SYS_ADMIN could suspend it.
tracer_protocol::Refusal refuse_thread(const ThreadFacts& facts);

}  // namespace perfbroker
