#include "launcher/orphan.h"

#include "core/linux.h"

namespace perfbroker {
namespace {

struct Start {
  void (*body)(void*);
  void* argument;
};

// The child in between, whose end makes the other an orphan. It shares the launcher's memory, which
// sleeps in the meantime.
int make_orphan(void* argument) {
  const auto* start = static_cast<Start*>(argument);
  const long pid = syscall(
      SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);  // fork(2), without glibc's locks
  if (pid == 0) start->body(start->argument);
  _exit(pid < 0 ? errno : 0);
}

}  // namespace

int fork_orphan(void (*body)(void*), void* argument) {
  // A launcher that is a subreaper would get the orphan back, and CMD with it.
  int subreaper = 0;
  prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
  if (subreaper != 0) prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  // No exit signal: a SIGCHLD that CMD's signal mask holds back would still be pending in CMD.
  // CLONE_VFORK makes it a vfork(2) for debuggers, which let it go without ado.
  alignas(16) static char stack[64 << 10];
  Start start{body, argument};
  const int pid = clone(make_orphan, stack + sizeof stack, CLONE_VM | CLONE_VFORK, &start);
  int error = pid < 0 ? errno : 0;
  if (pid >= 0) {
    int status = 0;
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) continue;
    error = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
  }
  if (subreaper != 0) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  return error;
}

}  // namespace perfbroker
