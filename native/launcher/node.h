// Where node and the command line's program are.
#pragma once

#include <string>

namespace perfbroker {

// Empty when node is neither in PATH nor in /usr/bin nor in /usr/local/bin.
std::string find_node();

// cli/main.js of the tree that this executable lies in. It need not be there.
std::string find_program();

}  // namespace perfbroker
