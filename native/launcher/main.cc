// perfbroker: finds the tree that it lies in and executes node with the command line's program. It
// is an ELF file, so that debuggers and profilers can start it, and so that a CMD that it runs has
// nothing of node: `run` becomes CMD, `record` and `stat` fork it.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/node.h"
#include "launcher/parent.h"
#include "launcher/report.h"
#include "launcher/run.h"
#include "launcher/utf8.h"

namespace {

using perfbroker::kExitNotFound;
using perfbroker::kExitUsage;
using perfbroker::report_exec_error;

// Index of the command's name, which only --socket may precede; 0: there is none.
int find_command(int argc, char** argv) {
  int index = 1;
  while (index < argc && strncmp(argv[index], "--socket", 8) == 0)
    index += argv[index][8] == '=' ? 1 : 2;
  return index < argc ? index : 0;
}

// Becomes node with the command line's program. Returns the exit code of a failure.
int execute_node(char** argv) {
  const std::string program = perfbroker::find_program();
  if (access(program.c_str(), R_OK) != 0) {
    report_exec_error(program.c_str(), errno);
    return kExitNotFound;
  }
  const perfbroker::Node node = perfbroker::find_node();
  if (!node.problem.empty()) fprintf(stderr, "perfbroker: %s\n", node.problem.c_str());
  if (node.path.empty()) return kExitNotFound;
  std::vector<const char*> arguments = {node.path.c_str()};
  for (const char* option : perfbroker::node_options(node)) arguments.push_back(option);
  arguments.push_back(program.c_str());
  for (char** argument = argv + 1; *argument != nullptr; argument++) arguments.push_back(*argument);
  arguments.push_back(nullptr);
  const std::vector<char*> variables = perfbroker::node_environment(node);
  execve(node.path.c_str(), const_cast<char* const*>(arguments.data()), variables.data());
  return report_exec_error(node.path.c_str(), errno);
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<size_t>(argc));
  const int found = find_command(argc, argv);
  const std::string_view command = found != 0 ? argv[found] : "";
  if (command == "run") {
    const int code = perfbroker::run_command(arguments, static_cast<size_t>(found));
    if (code >= 0) return code;
  }
  int exit_code = 0;
  if (const std::string obstacle = perfbroker::find_node_obstacle(exit_code); !obstacle.empty()) {
    fprintf(stderr, "perfbroker: %s\n", obstacle.c_str());
    return exit_code;
  }
  if (command == "record" || command == "stat") return perfbroker::run_as_parent(arguments);

  // Node would replace the bytes, and so change the names of files.
  for (int index = 1; index < argc; index++) {
    if (perfbroker::is_utf8(argv[index])) continue;
    fprintf(stderr,
        "perfbroker: argument %d is not UTF-8; only CMD of record, run and stat may contain such "
        "bytes\n",
        index);
    return kExitUsage;
  }
  return execute_node(argv);
}
