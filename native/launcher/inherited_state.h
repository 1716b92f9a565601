// The state that this process got from its caller, and that CMD gets.
#pragma once

#include "core/linux.h"

namespace perfbroker {

// Saves signal mask, dispositions and limit of open files, and sets them up for the parent of CMD:
// SIGCHLD is reported although the caller may ignore it, neither a reader that is gone
// nor a SIGUSR1 by mistake ends it (src/common/no_debugger.ts), and as many fds as the hard limit
// allows are there. Signals that the caller ignores or blocks stay so.
class InheritedState {
 public:
  InheritedState();

  // The signals that a parent of CMD handles, blocked from now on: SIGCHLD, and of those that end a
  // process the ones that the caller neither ignores nor blocks; SIGINT also where it is ignored.
  const sigset_t& handled() const { return handled_; }

  // A shell without job control has its background commands ignore SIGINT, so that Ctrl-C does not
  // end them. `kill -INT` means a recording nevertheless, as under perf.
  bool ignores_interrupt() const { return interrupt_.sa_handler == SIG_IGN; }

  // Restores it, in a child of this process.
  void restore() const;

 private:
  sigset_t mask_, handled_;
  struct sigaction child_, pipe_, user_, interrupt_;
  rlimit files_;
};

}  // namespace perfbroker
