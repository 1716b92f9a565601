// The monitor's life after the start: it waits.
#pragma once

#include <sys/signalfd.h>
#include <sys/time.h>

#include "monitor/parts.h"

namespace perfbroker {

inline constexpr int kDeadline = 5, kKilledDeadline = 1;  // seconds

// Until every part has ended. SIGTERM and SIGINT end in order: the broker is told, and the opener
// ends by itself when the broker has closed its side. SIGHUP goes to the broker. When a part dies
// unasked the others are ended. `signals`: a signalfd of these, SIGCHLD and SIGALRM. Returns the
// daemon's exit code; a part that not even SIGKILL ends is left behind.
inline int supervise(std::span<Part> parts, Part& broker, int signals) {
  bool ending = false, told = false, killed = false;
  ExitCode code = kOrdered;
  const auto alarm_in = [](time_t seconds) {
    const itimerval timer{{}, {seconds, 0}};
    setitimer(ITIMER_REAL, &timer, nullptr);
  };
  const auto signal_part = [](const Part& part, int number) {
    if (part.pid > 0) kill(part.pid, number);
  };
  const auto begin_end = [&] {
    if (!std::exchange(ending, true)) alarm_in(kDeadline);
  };
  const auto end = [&] {
    if (!ending) signal_part(broker, SIGTERM);
    begin_end();
  };
  const auto on_death = [&](Part& part, int status) {
    const pid_t pid = std::exchange(part.pid, -1);
    const auto broker_says = [&](ExitCode own) {
      return &part == &broker && status == W_EXITCODE(own, 0);
    };
    // The broker ends with 0 when it was told to, or has had nothing to do for long enough. The
    // others do when the broker has closed their sockets: it is ending, and what it dies of still
    // to be heard.
    if (status == 0) return begin_end();
    // Only the first death tells something: the others follow from it, as the broker says of its
    // own by this code.
    if (!broker_says(kPartDied) && !std::exchange(told, true)) {
      log_error("the %s (pid %d) %s %d; ending", part.name, pid,
          WIFSIGNALED(status) ? "was killed by signal" : "exited with code",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    code = broker_says(kStartup) ? kStartup : broker_says(kProof) ? kProof : kPartDied;
    end();
  };
  while (std::ranges::any_of(parts, [](const Part& part) { return part.pid > 0; })) {
    signalfd_siginfo info{};
    if (read(signals, &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGHUP) signal_part(broker, SIGHUP);
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) end();
    if (info.ssi_signo == SIGALRM) {
      if (code == kOrdered)
        log_error("not everything has ended within %d s; killing it", kDeadline);
      code = kPartDied;
      if (std::exchange(killed, true)) break;
      for (const Part& part : parts) signal_part(part, SIGKILL);
      alarm_in(kKilledDeadline);
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = std::ranges::find(parts, pid, &Part::pid);
      if (found != parts.end()) on_death(*found, status);
    }
  }
  return code;
}

}  // namespace perfbroker
