// Starting the tracer, beside opener and broker.
#pragma once

#include "monitor/parts.h"
#include "tracer/tracer.h"

namespace perfbroker {

// Its socketpair; both ends stay empty without --with-tracer. False when the tracer can not be had,
// which has been reported. `held`: permitted capabilities.
inline bool make_tracer_ends(const Options& o, uint64_t held, UniqueFd& tracer, UniqueFd& broker) {
  if (o.with_tracer == 0) return true;
  int pair[2];
  if ((held & cap_bit(CAP_SYS_PTRACE)) == 0)
    return log_error("--with-tracer needs CAP_SYS_PTRACE"), false;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  tracer.reset(pair[0]);
  broker.reset(pair[1]);
  return fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0;
}

// At most one request of a user is under way, and downgrades are rare. A user has at most four late
// ones about its own processes (MAX_LATE_PER_OWNER in src/broker/late_sessions.ts): 15 users have
// to be late before another one is refused.
inline constexpr size_t kMostTracerWorkers = 64;

[[noreturn]] inline void run_tracer(
    const Privileges& p, TracerConfig config, int channel, pid_t monitor) {
  int fds[] = {config.socket, config.proc_dir, channel};
  if (!arrange_fds(fds)) _exit(kStartup);
  config.socket = fds[0];
  config.proc_dir = fds[1];
  prctl(PR_SET_NAME, "pb-tracer", 0, 0, 0);
  const rlimit files{64, 64};
  setrlimit(RLIMIT_NOFILE, &files);
  Workers workers(kMostTracerWorkers);
  limit_processes(p, kMostTracerWorkers);
  clearenv();
  drop_and_confine(p, fds[2], fds[1], monitor, install_tracer_filter);
  close(fds[2]);
  _exit(serve_tracer(config, workers));
}

// `other`: the saved uid, by which the monitor may end it (main.cc).
inline Part start_tracer(
    const Options& o, const TracerConfig& config, bool change_ids, bool seal, uid_t other) {
  const uid_t t = o.tracer.uid;
  const Privileges privileges{
      "tracer", change_ids, seal, t, t, other, o.tracer.gid, cap_bit(CAP_SYS_PTRACE)};
  return start_part(
      "tracer", [&](int channel, pid_t self) { run_tracer(privileges, config, channel, self); });
}

}  // namespace perfbroker
