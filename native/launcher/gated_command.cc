#include "launcher/gated_command.h"

#include "launcher/report.h"

namespace perfbroker {
namespace {

constexpr int kFirstFd = 3;  // never one of the standard fds, which the caller may have closed

// The child: waits for a byte, then becomes CMD. The end of the stream means that CMD must not run.
[[noreturn]] void wait_and_execute(int gate, char** command) {
  char byte;
  ssize_t got;
  do got = read(gate, &byte, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1) _exit(kExitFailed);
  execvp(command[0], command);
  const int error = errno;
  const auto code = static_cast<unsigned char>(error);
  send(gate, &code, 1, MSG_NOSIGNAL);
  const int exit_code = report_command_error(command[0], error);
  fflush(stderr);
  _exit(exit_code);
}

}  // namespace

int GatedCommand::start(char** command, const InheritedState& inherited) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  UniqueFd ours(ends[0]), theirs(ends[1]);
  if (ends[0] < kFirstFd) ours.reset(fcntl(ends[0], F_DUPFD_CLOEXEC, kFirstFd));
  if (ends[1] < kFirstFd) theirs.reset(fcntl(ends[1], F_DUPFD_CLOEXEC, kFirstFd));
  if (!ours || !theirs) return errno;
  const pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) {
    // Its own copy would keep the gate open when this process has ended.
    ours.reset();
    inherited.restore();
    wait_and_execute(theirs.get(), command);
  }
  gate_ = std::move(ours);
  pid_ = child;
  is_released_ = false;
  exit_code_ = 0;
  return 0;
}

void GatedCommand::release() {
  if (!is_running() || is_released_) return;
  is_released_ = true;
  send(gate_.get(), "", 1, MSG_NOSIGNAL);  // the byte is NUL
}

void GatedCommand::terminate() {
  if (!is_released_) gate_.reset();
  signal(SIGTERM);
}

void GatedCommand::signal(int number) const {
  if (is_running()) kill(pid_, number);
}

int GatedCommand::take_exec_error() {
  unsigned char error = 0;
  if (gate_) recv(gate_.get(), &error, 1, MSG_DONTWAIT);
  gate_.reset();
  return error;
}

bool GatedCommand::reap() {
  siginfo_t ended{};
  if (!is_running() || waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG) != 0 ||
      ended.si_pid == 0)
    return false;
  pid_ = -1;
  exit_code_ = shell_exit_code(ended);
  return true;
}

int shell_exit_code(const siginfo_t& ended) {
  return ended.si_code == CLD_EXITED ? ended.si_status : 128 + ended.si_status;
}

}  // namespace perfbroker
