#include "tracer/tracer.h"

#include "core/caps.h"
#include "core/seccomp.h"
#include "tracer/downgrade.h"

namespace perfbroker {

using namespace tracer_protocol;

namespace {

constexpr size_t kRequestFds = 2;

const char* find_malformation(const Request& r, size_t fd_count) {
  if (r.version != kVersion) return "version";
  if (r.serial == 0) return "serial";
  if ((r.flags & ~uint32_t{kAllFlags}) != 0) return "flags";
  if (r.deadline == 0 || r.deadline > kMaxDeadline) return "deadline";
  if (r.drop == 0 && (r.flags & kNoNewPrivs) == 0) return "drop";
  if (r.expected.reserved != 0 || r.expected.dumpable > 1) return "expected";
  return fd_count == kRequestFds ? nullptr : "number of fds";
}

// The policy is the broker's; this rule holds without it: root of the host may downgrade any
// process, any other user its own ones. A client's capabilities do not count against it, as a
// target that is worth a downgrade has more of them.
uint32_t client_obstacles(
    const HelperConfig& config, int connection, Client& client, const protocol::Identity& target) {
  constexpr uint32_t ids = protocol::kMismatchUid | protocol::kMismatchGid;
  if (client.uid != 0) return same_user_obstacles(client, target, true) & ids;
  examine_client(connection, config.proc_dir, client);
  const uint64_t administrator = cap_bit(CAP_SYS_ADMIN) | cap_bit(CAP_PERFMON);
  if (!client.known || !client.in_own_namespace) return protocol::kMismatchUserNamespace;
  return (client.permitted & administrator) != 0 ? 0 : uint32_t{protocol::kMismatchCapabilities};
}

Outcome serve_request(
    const HelperConfig& config, const Request& request, std::span<const UniqueFd> fds) {
  Client client;
  Process process;
  protocol::Identity identity;
  if (!identify_client(fds[0].get(), config.listener, client)) return {Status::kBadClient};
  if (!open_process(config.proc_dir, fds[1].get(), process))
    return {errno == ESRCH ? Status::kTargetGone : Status::kBadTarget};
  if (!read_identity(process.directory.get(), identity) || !pidfd_alive(fds[1].get()))
    return {Status::kTargetGone};
  if (const uint32_t obstacles = client_obstacles(config, fds[0].get(), client, identity))
    return {Status::kNotSameUser, obstacles};
  if (const uint32_t mismatch = identity_mismatch(identity, request.expected))
    return {Status::kTargetChanged, mismatch};
  return downgrade(config.proc_dir, process,
      {request.drop, (request.flags & kNoNewPrivs) != 0, (request.flags & kDryRun) != 0,
          request.deadline, request.expected});
}

bool send_outcome(int channel, uint32_t serial, const Outcome& outcome) {
  static Reply reply;
  size_t first = 0;
  do {
    const size_t count = std::min<size_t>(outcome.results.size() - first, kThreadsPerReply);
    reply = {kVersion, serial, outcome.status, outcome.detail, outcome.tid, outcome.stopped,
        static_cast<uint32_t>(outcome.results.size()), static_cast<uint32_t>(first),
        static_cast<uint32_t>(count), 0, {}};
    std::ranges::copy(outcome.results.subspan(first, count), reply.threads);
    if (!send_message(channel, &reply, sizeof reply, {}, 0)) return false;
    first += count;
  } while (first < outcome.results.size());
  return true;
}

WorkerExit serve_one(int channel, const HelperConfig& config) {
  // Neither a signal nor the end of the daemon comes between a thread's change and its restoration.
  sigset_t blocked;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGALRM);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
  static Request request;
  UniqueFd fds[kRequestFds];
  if (const auto end = receive_request(channel, "tracer", request, fds, find_malformation))
    return *end;
  send_outcome(channel, request.serial, serve_request(config, request, fds));
  return WorkerExit::kServed;
}

}  // namespace

int serve_tracer(const HelperConfig& config, Workers& workers) {
  struct sigaction tick {};
  tick.sa_handler = [](int) {};  // it only interrupts
  sigaction(SIGALRM, &tick, nullptr);
  if (!send_outcome(config.socket, 0, {Status::kReady})) return 0;
  return workers.run(config.socket, [&](int channel) { return serve_one(channel, config); });
}

int install_tracer_filter() {
  SeccompFilter filter;
  filter.on_bits(SYS_clone, 0, ~uint32_t{SIGCHLD}, kKill, kAllow);
  constexpr long more[] = {SYS_recvmsg, SYS_sendmsg, SYS_getsockopt, SYS_getsockname,
      SYS_pidfd_open, SYS_readlinkat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
      SYS_setitimer, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_getpid};
  return install_allow_list(filter, more);
}

}  // namespace perfbroker
