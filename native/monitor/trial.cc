#include "monitor/trial.h"

#include "core/caps.h"
#include "core/log.h"
#include "core/perf_event.h"
#include "core/proc.h"

namespace perfbroker {

namespace {

// kernel.perf_event_paranoid; 2, the kernel's default, when it is unreadable.
int read_paranoid_level() {
  int level = 2;
  std::string_view text;
  if (read_file(AT_FDCWD, "/proc/sys/kernel/perf_event_paranoid", text)) take_number(text, level);
  return level;
}

// Opens an event on this task and one on a whole cpu, kernel mode included, with one capability. 0
// or errno.
int open_with(unsigned capability) {
  clear_ambient();
  if (const int error = set_caps({cap_bit(capability), cap_bit(capability), 0})) return error;
  protocol::EventFields fields{};
  fields.type = PERF_TYPE_SOFTWARE;
  fields.config = PERF_COUNT_SW_TASK_CLOCK;
  if (!open_event(build_attr(fields), 0, -1, -1, 0)) return errno;
  fields.config = PERF_COUNT_SW_CPU_CLOCK;
  if (open_event(build_attr(fields), -1, 0, -1, 0)) return 0;
  return errno == ENODEV ? 0 : errno;  // ENODEV: cpu 0 is offline
}

// Tries in a child, so that this process keeps its capabilities. 0 or errno.
int try_capability(unsigned capability) {
  const pid_t child = fork();
  if (child == 0) _exit(open_with(capability));
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return errno;
  // A signal comes from a seccomp filter that kills.
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

}  // namespace

unsigned find_capability(uint64_t held) {
  int error = 0;
  for (const unsigned capability : {unsigned{CAP_PERFMON}, unsigned{CAP_SYS_ADMIN}}) {
    if ((held & cap_bit(capability)) == 0) continue;
    error = try_capability(capability);
    if (error == 0) return capability;
    log_error("a trial perf_event_open with CAP_%s alone failed: %s", cap_name(capability),
        strerrordesc_np(error));
  }
  if (error == EPERM || error == ENOSYS) {
    log_error(
        "a seccomp filter blocks it (a container's profile, a unit's SystemCallFilter=): allow "
        "perf_event_open");
    return 0;
  }
  const int paranoid = read_paranoid_level();
  const char* wanted = paranoid >= 3 ? "CAP_SYS_ADMIN" : "CAP_PERFMON";
  log_error("%s is missing, and kernel.perf_event_paranoid is %d", wanted, paranoid);
  log_error("start this as root, or from a systemd unit with AmbientCapabilities=%s CAP_IPC_LOCK",
      wanted);
  return 0;
}

}  // namespace perfbroker
