// Which processes the tracer leaves alone, whatever it is told.
#pragma once

#include "tracer/attach.h"

namespace perfbroker {

// init, kernel threads, the parts of this daemon and its ancestors. `proc_dir`: /proc.
tracer_protocol::Refusal refuse_process(int proc_dir, const Process& process);

// Threads that somebody else traces, and those whose system calls are filtered: a filter may answer
// an injected call by killing the process, and only CAP_SYS_ADMIN could suspend it.
tracer_protocol::Refusal refuse_thread(const ThreadFacts& facts);

}  // namespace perfbroker
