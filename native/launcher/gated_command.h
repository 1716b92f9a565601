// CMD as a child of this process, which waits at its gate until events are attached to its pid.
#pragma once

#include "core/unique_fd.h"
#include "launcher/inherited_state.h"

namespace perfbroker {

class GatedCommand {
 public:
  // Forks the process. 0, or errno. One command at a time; one may follow another that has ended.
  int start(char** command, const InheritedState& inherited);

  // Lets it execute CMD.
  void release();

  // SIGTERM; a process that still waits at its gate ends without having executed anything.
  void terminate();

  void signal(int number) const;

  // To be polled after release(): readable when the exec succeeded or failed. -1: nothing to wait
  // for.
  int gate() const { return is_released_ ? gate_.get() : -1; }

  // errno of the exec, 0 when it succeeded; the gate must be readable, or the process have ended.
  int take_exec_error();

  // Reaps the process if it has ended. True when it did so in this call.
  bool reap();

  pid_t pid() const { return pid_; }
  bool is_running() const { return pid_ > 0; }
  bool is_released() const { return is_released_; }

  // Exit code as a shell has it, 128 + N for signal N; known after reap().
  int exit_code() const { return exit_code_; }

 private:
  UniqueFd gate_;
  pid_t pid_ = -1;
  bool is_released_ = false;
  int exit_code_ = 0;
};

// The exit code of a child that was reaped by waitid(2). Unlike a wait status it has every signal.
int shell_exit_code(const siginfo_t& ended);

}  // namespace perfbroker
