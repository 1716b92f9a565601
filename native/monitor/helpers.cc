#include "monitor/helpers.h"

#include "tracer/tracer.h"

namespace perfbroker {

namespace {

// One request has 253 events and as many status files. The kernel also counts fds that workers have
// sent and that the broker has not received (unix_inflight in net/unix/garbage.c). The broker has
// at most 64 requests in progress, in addition to late ones.
constexpr rlim_t kOpenerFiles = rlim_t{64} * 256;

// A user has at most one request under way, and downgrades are rare. A user has at most four late
// ones about its own processes (MAX_LATE_PER_OWNER in src/broker/ipc/late_sessions.ts): 15 users
// have to be late before another one is refused.
constexpr size_t kMostTracerWorkers = 64;
constexpr rlim_t kTracerFiles = 64;

// The body of a helper. The signals that the monitor handles stay blocked: a helper ends when its
// broker has.
template <typename Config>
[[noreturn]] void run_helper(const Privileges& p, Config config, rlim_t most_files,
    size_t most_workers, int channel, pid_t monitor, int (*install_filter)(),
    int (*serve)(const Config&, Workers&)) {
  int fds[] = {config.socket, config.proc_dir, channel};
  if (!arrange_fds(fds)) exit_with(channel, kStartup, "the fds of a helper process");
  config.socket = fds[0];
  config.proc_dir = fds[1];
  prctl(PR_SET_NAME, (std::string("pb-") + p.process).c_str(), 0, 0, 0);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max = std::min(files.rlim_max, most_files);
  setrlimit(RLIMIT_NOFILE, &files);
  Workers workers(most_workers);
  if (!workers) exit_with(fds[2], kStartup, "memory and pipes for workers");
  // A compromised worker must not fill the machine. The helper itself and the monitor count as
  // well. Where all processes run under one user, that user has others.
  const rlimit processes{most_workers + 2, most_workers + 2};
  if (p.change_ids) setrlimit(RLIMIT_NPROC, &processes);
  clearenv();
  drop_and_confine(p, fds[2], fds[1], monitor, install_filter);
  close(fds[2]);
  _exit(serve(config, workers));
}

}  // namespace

ChildProcess start_opener(const Privileges& p, OpenerConfig config) {
  return start_child("opener", [&](int channel, pid_t monitor) {
    run_helper(p, config, kOpenerFiles, Workers::kMost, channel, monitor, install_opener_filter,
        serve_opener);
  });
}

ChildProcess start_tracer(const Privileges& p, HelperConfig config) {
  return start_child("tracer", [&](int channel, pid_t monitor) {
    run_helper(p, config, kTracerFiles, kMostTracerWorkers, channel, monitor, install_tracer_filter,
        serve_tracer);
  });
}

}  // namespace perfbroker
