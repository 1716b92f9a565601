// Where node and the programs for it are.
#pragma once

#include <string>

namespace perfbroker {

// Empty when node is neither in PATH nor in /usr/bin nor in /usr/local/bin.
std::string find_node();

// `name` (such as /cli/main.js) of the tree that this executable lies in. It need not be there.
std::string find_program(const char* name = "/cli/main.js");

}  // namespace perfbroker
