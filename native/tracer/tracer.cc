#include "tracer/tracer.h"

#include "core/caps.h"
#include "core/log.h"
#include "core/scm.h"
#include "monitor/filters.h"
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

// The policy is the broker's; this is what holds without it: root of the host may do it to any
// process, anybody to his own. Their capabilities do not count, as a target has more of them by the
// nature of the thing.
uint32_t client_obstacles(
    const TracerConfig& config, int connection, Client& client, const protocol::Identity& target) {
  constexpr uint32_t ids = protocol::kMismatchUid | protocol::kMismatchGid;
  if (client.uid != 0) return same_user_obstacles(client, target, true) & ids;
  examine_client(connection, config.proc_dir, client);
  const uint64_t administrator = cap_bit(CAP_SYS_ADMIN) | cap_bit(CAP_PERFMON);
  if (!client.known || !client.in_own_namespace) return protocol::kMismatchUserNamespace;
  return (client.permitted & administrator) != 0 ? 0 : uint32_t{protocol::kMismatchCapabilities};
}

Outcome serve_request(
    const TracerConfig& config, const Request& request, std::span<const UniqueFd> fds) {
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

bool send_outcome(const TracerConfig& config, uint32_t serial, const Outcome& outcome) {
  static Reply reply;
  size_t first = 0;
  do {
    const size_t count = std::min<size_t>(outcome.results.size() - first, kThreadsPerReply);
    reply = {kVersion, serial, outcome.status, outcome.detail, outcome.tid, outcome.stopped,
        static_cast<uint32_t>(outcome.results.size()), static_cast<uint32_t>(first),
        static_cast<uint32_t>(count), 0, {}};
    std::ranges::copy(outcome.results.subspan(first, count), reply.threads);
    if (!send_message(config.socket, &reply, sizeof reply, {}, 0)) return false;
    first += count;
  } while (first < outcome.results.size());
  return true;
}

WorkerExit serve_one(const TracerConfig& config) {
  static Request request;
  UniqueFd fds[kRequestFds];
  Result<Received> received = receive_message(config.socket, &request, sizeof request, fds, 0);
  if (received ? received->bytes == 0 : received.error().number == ECONNRESET)
    return WorkerExit::kServed;
  const char* malformed = "size or number of fds";
  if (received && received->bytes == sizeof request && !received->truncated) {
    malformed = find_malformation(request, received->fd_count);
  }
  if (malformed != nullptr) {
    log_error(
        "the tracer got a malformed request (%s): its broker is compromised; ending", malformed);
    return WorkerExit::kMalformed;
  }
  send_outcome(config, request.serial, serve_request(config, request, fds));
  return WorkerExit::kServed;
}

}  // namespace

int serve_tracer(const TracerConfig& config, Workers& workers) {
  struct sigaction tick {};
  tick.sa_handler = [](int) {};  // it only interrupts
  sigaction(SIGALRM, &tick, nullptr);
  if (!send_outcome(config, 0, {Status::kReady})) return 0;
  if (!workers.dispatch()) return workers.exit_code();
  // Neither a signal nor the end of the daemon comes between a thread's change and its restoration.
  sigset_t blocked;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGALRM);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
  UniqueFd channel;
  const WorkerExit taken = workers.take_channel(config.socket, channel);
  if (taken != WorkerExit::kServed) return workers.leave(taken);
  TracerConfig own = config;
  own.socket = channel.get();
  return workers.leave(serve_one(own));
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
