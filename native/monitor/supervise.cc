#include "monitor/supervise.h"

#include <sys/signalfd.h>
#include <sys/time.h>

#include "core/log.h"
#include "core/seccomp.h"

namespace perfbroker {

namespace {

constexpr int kDeadline = 5, kKilledDeadline = 1;  // seconds

void signal_child(const ChildProcess& child, int number) {
  if (child.pid > 0) kill(child.pid, number);
}

void set_alarm(time_t seconds) {
  const itimerval timer{{}, {seconds, 0}};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

class Supervisor {
 public:
  Supervisor(std::span<ChildProcess> children, const ChildProcess& broker)
      : children_(children), broker_(broker) {}

  int run(int signals) {
    while (!gave_up_ && std::ranges::any_of(children_, &is_running)) {
      signalfd_siginfo info{};
      if (read(signals, &info, sizeof info) != sizeof info) continue;
      if (info.ssi_signo == SIGHUP) signal_child(broker_, SIGHUP);
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) stop();
      if (info.ssi_signo == SIGALRM) on_deadline();
      reap();
    }
    return code_;
  }

 private:
  static bool is_running(const ChildProcess& child) { return child.pid > 0; }

  // Gives the children some time to end.
  void expect_end() {
    if (!ending_) set_alarm(kDeadline);
    ending_ = true;
  }

  void stop() {
    if (!ending_) signal_child(broker_, SIGTERM);
    expect_end();
  }

  void on_deadline() {
    if (code_ == kOrdered) log_error("not everything has ended within %d s; killing it", kDeadline);
    code_ = kHelperDied;
    gave_up_ = killed_;
    killed_ = true;
    for (const ChildProcess& child : children_) signal_child(child, SIGKILL);
    set_alarm(kKilledDeadline);
  }

  void reap() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = std::ranges::find(children_, pid, &ChildProcess::pid);
      if (found != children_.end()) on_death(*found, status);
    }
  }

  void on_death(ChildProcess& child, int status) {
    const pid_t pid = std::exchange(child.pid, -1);
    // The broker exits with 0 on request, or when it has been idle for its idle time. A helper
    // exits with 0 when the broker has closed its sockets: the broker's exit code follows later.
    if (status == 0) return expect_end();
    const bool broker_exited = &child == &broker_ && WIFEXITED(status);
    const int exit_code = broker_exited ? WEXITSTATUS(status) : kHelperDied;
    // Only the first death is reported: the others follow from it. By kHelperDied the broker
    // reports that its own end follows from another one.
    if (!reported_ && !(broker_exited && exit_code == kHelperDied)) {
      log_error("the %s (pid %d) %s %d; ending", child.name, pid,
          WIFSIGNALED(status) ? "was killed by signal" : "exited with code",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
      reported_ = true;
    }
    code_ = exit_code == kStartup || exit_code == kProof ? exit_code : int{kHelperDied};
    stop();
  }

  const std::span<ChildProcess> children_;
  const ChildProcess& broker_;
  bool ending_ = false, reported_ = false, killed_ = false, gave_up_ = false;
  int code_ = kOrdered;
};

}  // namespace

int supervise(std::span<ChildProcess> children, const ChildProcess& broker, int signals) {
  return Supervisor(children, broker).run(signals);
}

int install_monitor_filter() {
  SeccompFilter filter;
  return install_allow_list(filter, {{SYS_kill, SYS_setitimer}});
}

}  // namespace perfbroker
