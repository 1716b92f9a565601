#include "monitor/trial.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/caps.h"
#include "core/perf_event.h"
#include "core/proc.h"
#include "monitor/say.h"

namespace perfbroker {

namespace {

int open_both() {
  protocol::EventFields fields{};
  fields.type = PERF_TYPE_SOFTWARE;
  fields.config = PERF_COUNT_SW_TASK_CLOCK;
  Result<UniqueFd> task = open_event(build_attr(fields), 0, -1, -1, 0);  // the kernel side included
  if (!task) return task.error().number;
  fields.config = PERF_COUNT_SW_CPU_CLOCK;
  Result<UniqueFd> cpu = open_event(build_attr(fields), -1, 0, -1, 0);
  // ENODEV: cpu 0 is offline, which is found out after the permission check.
  return cpu || cpu.error().number == ENODEV ? 0 : cpu.error().number;
}

// In a child, so that this process keeps what it has. Returns 0 or an errno.
int try_with(unsigned capability) {
  const pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) {
    const uint64_t only = cap_bit(capability);
    clear_ambient();
    const int error = set_caps({only, only, 0});
    _exit(error != 0 ? error : open_both());
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;  // a signal: a seccomp filter that kills
}

}  // namespace

int read_paranoid_level() {
  int level = 2;
  char buffer[16];
  const UniqueFd fd(open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC));
  if (!fd) return level;
  Result<std::string_view> text = read_text(fd.get(), buffer);
  if (text) std::from_chars(text->data(), text->data() + text->size(), level);
  return level;
}

std::optional<Capability> find_capability() {
  constexpr Capability candidates[] = {{CAP_PERFMON, "CAP_PERFMON"}, {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};
  Result<CapSets> held = get_caps();
  if (!held) {
    say("capget: %s", strerrordesc_np(held.error().number));
    return std::nullopt;
  }
  int error = 0;
  bool any = false;
  for (const Capability& candidate : candidates) {
    if ((held->permitted & cap_bit(candidate.number)) == 0) continue;
    any = true;
    error = try_with(candidate.number);
    if (error == 0) return candidate;
    say("a trial perf_event_open with %s alone failed: %s", candidate.name, strerrordesc_np(error));
  }

  const int level = read_paranoid_level();
  const char* wanted = level >= 3 ? "CAP_SYS_ADMIN" : "CAP_PERFMON";
  if (!any) {
    say("neither CAP_PERFMON nor CAP_SYS_ADMIN is held; kernel.perf_event_paranoid is %d, which asks for %s", level, wanted);
  } else if (error == EPERM || error == ENOSYS) {
    say("the capability is there, so a seccomp filter blocks perf_event_open here (a container runtime's default "
        "profile, a unit's SystemCallFilter=): allow it for this daemon");
    return std::nullopt;
  } else {
    say("kernel.perf_event_paranoid is %d; what is held is not enough, or a security module refuses", level);
  }
  say("start it as root, or from a systemd unit with AmbientCapabilities=%s CAP_IPC_LOCK", wanted);
  return std::nullopt;
}

}  // namespace perfbroker
