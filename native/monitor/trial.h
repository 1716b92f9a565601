// Which capability this kernel demands for what the opener does, found out by trying: CAP_PERFMON
// may be held and not be enough (Debian's and Ubuntu's kernels at kernel.perf_event_paranoid 3 and
// above ask for CAP_SYS_ADMIN).
#pragma once

#include "core/caps.h"
#include "core/log.h"
#include "core/perf_event.h"
#include "core/proc.h"

namespace perfbroker {

// kernel.perf_event_paranoid; 2, the kernel's default, when it can not be read.
inline int read_paranoid_level() {
  int level = 2;
  std::string_view text;
  if (read_file(AT_FDCWD, "/proc/sys/kernel/perf_event_paranoid", text_buffer, text))
    take_number(text, level);
  return level;
}

// 0, or the errno of opening this task and a whole cpu with one capability, the kernel side
// included. In a child, so that this process keeps what it has.
inline int try_capability(unsigned capability) {
  const pid_t child = fork();
  if (child == 0) {
    clear_ambient();
    if (const int error = set_caps({cap_bit(capability), cap_bit(capability), 0})) _exit(error);
    protocol::EventFields fields{};
    fields.type = PERF_TYPE_SOFTWARE;
    fields.config = PERF_COUNT_SW_TASK_CLOCK;
    if (!open_event(build_attr(fields), 0, -1, -1, 0)) _exit(errno);
    fields.config = PERF_COUNT_SW_CPU_CLOCK;
    _exit(open_event(build_attr(fields), -1, 0, -1, 0) || errno == ENODEV
              ? 0
              : errno);  // ENODEV: cpu 0 is offline
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status)
                           : EPERM;  // by a signal: a seccomp filter that kills
}

// The weakest of the held capabilities that works; 0 when there is none, which it explains.
inline unsigned find_capability(uint64_t held) {
  int error = 0;
  for (const unsigned capability : {unsigned{CAP_PERFMON}, unsigned{CAP_SYS_ADMIN}}) {
    if ((held & cap_bit(capability)) == 0) continue;
    if ((error = try_capability(capability)) == 0) return capability;
    log_error("a trial perf_event_open with CAP_%s alone failed: %s", cap_name(capability),
        strerrordesc_np(error));
  }
  const char* wanted = read_paranoid_level() >= 3 ? "CAP_SYS_ADMIN" : "CAP_PERFMON";
  const bool filtered = error == EPERM || error == ENOSYS;
  if (!filtered)
    log_error("%s is missing, and kernel.perf_event_paranoid is %d", wanted, read_paranoid_level());
  if (!filtered)
    log_error("start this as root, or from a systemd unit with AmbientCapabilities=%s CAP_IPC_LOCK",
        wanted);
  if (filtered)
    log_error(
        "a seccomp filter blocks it (a container's profile, a unit's SystemCallFilter=): allow "
        "perf_event_open");
  return 0;
}

}  // namespace perfbroker
