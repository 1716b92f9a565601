// node and the programs that it runs: which executable, with which options and environment.
#pragma once

#include <string>
#include <vector>

namespace perfbroker {

struct Node {
  std::string path;      // empty: none can be used
  std::string problem;   // one sentence: why there is none, or which ones were passed over
  bool is_ours = false;  // that of the tree, dist/bin/node
};

// The node that the tree was built or packaged with, dist/bin/node; where that is gone the first of
// version 20 or later in PATH, /usr/bin and /usr/local/bin.
Node find_node();

// Path of `name` (such as /cli/main.js) in the tree of this executable. The file may be missing.
std::string find_program(const char* name = "/cli/main.js");

// Options without which `node` does not start here: with a limit of address space (RLIMIT_AS) V8
// cannot reserve a range for compiled code, and goes without.
std::vector<const char*> node_options(const Node& node);

// The environment for `node`: all but the variables that set up node, its libraries or the dynamic
// loader. They are meant for CMD. marker: one more variable, or null. The strings are not copied.
std::vector<char*> node_environment(const Node& node, const char* marker = nullptr);

// Returns one sentence when this process's limits do not let node start; empty: they do.
// exit_code: 1 for too few fds, 125 for too little address space.
std::string find_node_obstacle(int& exit_code);

}  // namespace perfbroker
