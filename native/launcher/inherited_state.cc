#include "launcher/inherited_state.h"

namespace perfbroker {

InheritedState::InheritedState() {
  sigprocmask(SIG_SETMASK, nullptr, &mask_);
  sigaction(SIGCHLD, nullptr, &child_);
  sigaction(SIGPIPE, nullptr, &pipe_);
  sigaction(SIGUSR1, nullptr, &user_);
  sigaction(SIGINT, nullptr, &interrupt_);
  sigemptyset(&handled_);
  sigaddset(&handled_, SIGCHLD);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action;
    sigaction(number, nullptr, &action);
    if ((number == SIGINT || action.sa_handler != SIG_IGN) && sigismember(&mask_, number) == 0)
      sigaddset(&handled_, number);
  }
  signal(SIGCHLD, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, SIG_IGN);
  sigprocmask(SIG_BLOCK, &handled_, nullptr);
  getrlimit(RLIMIT_NOFILE, &files_);
  const rlimit raised{files_.rlim_max, files_.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
}

void InheritedState::restore() const {
  sigaction(SIGCHLD, &child_, nullptr);
  sigaction(SIGPIPE, &pipe_, nullptr);
  sigaction(SIGUSR1, &user_, nullptr);
  sigaction(SIGINT, &interrupt_, nullptr);
  setrlimit(RLIMIT_NOFILE, &files_);
  sigprocmask(SIG_SETMASK, &mask_, nullptr);
}

}  // namespace perfbroker
