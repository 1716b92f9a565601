// perfbroker record and stat: this process is the parent of CMD and of the collector.
#pragma once

#include <span>

namespace perfbroker {

// The arguments of main(). Returns the exit code: that of CMD once CMD was let run, else the
// collector's.
int run_as_parent(std::span<char*> arguments);

}  // namespace perfbroker
