// The monitor's children: fork, drop, prove, serve.
#pragma once

#include "monitor/drop.h"
#include "monitor/exit_code.h"

namespace perfbroker {

// A child sends one byte on its channel: 0 once its proof held, or the code to exit with. The
// broker then waits for one byte before it executes node, which sends a second 0 once it handles
// signals.
struct ChildProcess {
  const char* name = nullptr;
  pid_t pid = -1;
  UniqueFd channel = {};
};

// Returns the next byte on a channel; -1 at its end.
int receive_byte(int channel);
bool send_byte(int channel, int value);

// Ends a child. The monitor exits with the same code. `failed`: the step whose errno is reported;
// null after a report.
[[noreturn]] void exit_with(int channel, ExitCode code, const char* failed = nullptr);

// Forks. The child runs body(channel, its parent's pid), which never returns.
template <typename Body>
ChildProcess start_child(const char* name, Body body) {
  int ends[2] = {-1, -1};
  const pid_t monitor = getpid();
  const pid_t pid = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? fork() : -1;
  if (pid == 0) body(ends[1], monitor);
  if (ends[1] >= 0) close(ends[1]);
  return {name, pid, UniqueFd(ends[0])};
}

// The fds of a child come by way of numbers from kParking on. A child has seven at most.
inline constexpr int kParking = 64;
inline constexpr rlim_t kLeastFiles = kParking + 7;

// Moves fds to 3, 4, ... in this order (-1 leaves its number free) and closes all others except 0,
// 1 and 2.
bool arrange_fds(std::span<int> fds);

// The first half of a child, up to which it has only what its parent had: drops privileges,
// installs the filter, proves both, and reports success. Exits when a step fails. `proc_dir`:
// /proc.
void drop_and_confine(const Privileges& privileges, int channel, int proc_dir, pid_t monitor,
    int (*install_filter)());

}  // namespace perfbroker
