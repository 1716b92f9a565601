// Paths of node and of the programs that it runs.
#pragma once

#include <string>

namespace perfbroker {

// Empty when node is neither in PATH nor in /usr/bin nor in /usr/local/bin.
std::string find_node();

// Path of `name` (such as /cli/main.js) in the tree of this executable. The file may be missing.
std::string find_program(const char* name = "/cli/main.js");

}  // namespace perfbroker
