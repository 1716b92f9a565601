// perfbroker run: this process becomes CMD, and a separate collector records it.
#pragma once

#include <span>

namespace perfbroker {

// The arguments of main(), and the index of `run` among them. Returns only when CMD was not
// executed; -1: help was asked for, and node prints it.
int run_command(std::span<char*> arguments, size_t run);

}  // namespace perfbroker
