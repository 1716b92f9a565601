#include "core/wasm_option.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace perfbroker {
namespace {

constexpr char kOption[] = "--no-expose-wasm";

// Replaces this forked process with a node that prints its version to /dev/null.
[[noreturn]] void print_version(const char* node, char* const* environment) {
  const int null = open("/dev/null", O_RDWR);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, standard);
  syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
  const char* argv[] = {node, "--jitless", kOption, "--version", nullptr};
  execvpe(node, const_cast<char* const*>(argv), environment);
  _exit(127);
}

}  // namespace

const char* wasm_option(const char* node, char* const* environment) {
  const pid_t child = fork();
  if (child < 0) return "--jitless";  // waitpid(-1) would wait for any child
  if (child == 0) print_version(node, environment);
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? kOption : "--jitless";
}

}  // namespace perfbroker
