// perfbroker-bus: finds the tree that it lies in and executes node with the front end's program.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "core/wasm_option.h"
#include "launcher/node.h"

namespace {

constexpr int kExitFailed = 1;

int report_error(const std::string& what, const char* why) {
  fprintf(stderr, "perfbroker-bus: %s: %s\n", what.c_str(), why);
  return kExitFailed;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string program = perfbroker::find_program("/bus/main.js");
  if (access(program.c_str(), R_OK) != 0) return report_error(program, strerrordesc_np(errno));
  const perfbroker::Node node = perfbroker::find_node();
  if (node.path.empty()) return report_error("no node", node.problem.c_str());
  // Like the broker, see monitor/broker_process.cc: no compiler, so that the unit can forbid memory
  // that is writable and executable, and little memory.
  std::vector<const char*> arguments = {node.path.c_str(), "--jitless",
      perfbroker::wasm_option(node.path.c_str(), environ), "--max-semi-space-size=1",
      "--no-memory-reducer", "--disallow-code-generation-from-strings", program.c_str()};
  if (argc > 1) arguments.insert(arguments.end(), argv + 1, argv + argc);
  arguments.push_back(nullptr);
  execv(node.path.c_str(), const_cast<char* const*>(arguments.data()));
  return report_error(node.path, strerrordesc_np(errno));
}
