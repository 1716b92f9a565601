#include "monitor/supervise.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>

#include "monitor/exit_codes.h"
#include "monitor/say.h"

namespace perfbroker {

namespace {

constexpr int64_t kDeadlineMs = 5000;

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

class Supervisor {
 public:
  Supervisor(Part& opener, Part& broker) : parts_{&opener, &broker}, broker_(broker) {}

  int run(int signals) {
    while (parts_[0]->pid > 0 || parts_[1]->pid > 0) {
      pollfd poller{signals, POLLIN, 0};
      // Without a deadline nothing wakes this process but a signal.
      const int64_t left = deadline_ == 0 ? -1 : std::max<int64_t>(0, deadline_ - now_ms());
      if (poll(&poller, 1, static_cast<int>(left)) == 0) {
        say("not everything has ended within %lld s; killing it", static_cast<long long>(kDeadlineMs / 1000));
        code_ = kExitPartDied;
        for (Part* part : parts_) signal_part(*part, SIGKILL);
        deadline_ = now_ms() + kDeadlineMs;
        continue;
      }
      signalfd_siginfo info;
      if (read(signals, &info, sizeof info) == sizeof info) on_signal(static_cast<int>(info.ssi_signo));
    }
    return code_;
  }

 private:
  void on_signal(int number) {
    if (number == SIGCHLD) reap();
    else if (number == SIGHUP) signal_part(broker_, SIGHUP);
    else end();
  }

  // The opener ends by itself when the broker has closed its side.
  void end() {
    if (deadline_ != 0) return;
    deadline_ = now_ms() + kDeadlineMs;
    signal_part(broker_, SIGTERM);
  }

  void reap() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      for (Part* part : parts_) {
        if (part->pid != pid) continue;
        part->pid = -1;
        if (deadline_ != 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        // After the first death the rest may end as it likes; only the first tells something.
        if (code_ == kExitOrdered) report(*part, pid, status);
        code_ = kExitPartDied;
        end();
      }
    }
  }

  static void report(const Part& part, pid_t pid, int status) {
    const bool killed = WIFSIGNALED(status);
    const int value = killed ? WTERMSIG(status) : WEXITSTATUS(status);
    say("the %s (pid %d) %s %d; ending", part.name, pid, killed ? "was killed by signal" : "exited with code", value);
  }

  static void signal_part(const Part& part, int number) {
    if (part.pid > 0) kill(part.pid, number);
  }

  Part* parts_[2];
  Part& broker_;
  int64_t deadline_ = 0;  // 0: running
  int code_ = kExitOrdered;
};

}  // namespace

int supervise(Part& opener, Part& broker, int signals) { return Supervisor(opener, broker).run(signals); }

}  // namespace perfbroker
