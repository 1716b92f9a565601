#include "opener/opener.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include "core/perf_event.h"
#include "core/seccomp.h"
#include "opener/check.h"

namespace perfbroker {
namespace {

using namespace protocol;

// The state of one open request while it is served. Its fds are closed with it.
struct Opening {
  const OpenerConfig& config;
  const Request& request;
  Reply& reply;
  int connection, target;  // the fds that came along; target is -1 when there is none
  UniqueFd events[kMaxSlots];
  UniqueFd threads[kMaxSlots];  // status file of the thread, at the first slot that names it
  uint16_t first[kMaxSlots];    // that slot
};

Status fail(Opening& o, Status status, uint32_t detail) {
  o.reply.detail = detail;
  return status;
}

Status fail_slot(Opening& o, uint32_t slot, int error) {
  o.reply.slot_errno[slot] = static_cast<uint16_t>(error);
  return Status::kOpenFailed;
}

bool is_forbidden(const OpenerConfig& config, const EventFields& event) {
  const auto names_it = [type = dynamic_pmu(event)](uint32_t listed) {
    return type != 0 && (listed == type || listed == OpenerConfig::kEveryType);
  };
  return std::ranges::any_of(config.forbidden_types, names_it);
}

bool is_cgroup_directory(int fd) {
  struct stat status;
  struct statfs system;
  return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) && fstatfs(fd, &system) == 0 &&
         (system.f_type == CGROUP2_SUPER_MAGIC || system.f_type == CGROUP_SUPER_MAGIC);
}

// Compares the target with the broker's view of it, and checks the client's own right to read it,
// unless the ceiling goes further.
Status check_process(Opening& o, Client& client, const Process& process) {
  Identity identity;
  if (!read_identity(process.directory.get(), identity) || !pidfd_alive(o.target))
    return Status::kTargetGone;
  if (const uint32_t mismatch = identity_mismatch(identity, o.request.expected))
    return fail(o, Status::kTargetChanged, mismatch);
  if ((o.config.ceiling & kOtherUsers) != 0) return Status::kOpened;
  examine_client(o.connection, o.config.proc_dir, client);
  const bool own_namespace = in_own_user_namespace(o.config.proc_dir, process.directory.get());
  const uint32_t obstacles = same_user_obstacles(client, identity, own_namespace);
  return obstacles == 0 ? Status::kOpened : fail(o, Status::kNotSameUser, obstacles);
}

// Pins every thread before an event is opened on its number. If the pinned file is readable after
// the open, the number still belonged to that thread. The slots of threads that have ended keep
// ESRCH.
Status pin_threads(Opening& o, const Process& process) {
  const UniqueFd tasks(openat(process.directory.get(), "task", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!tasks) return Status::kTargetGone;
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    const int tid = o.request.slots[i].tid;
    uint32_t first = i > 0 && o.request.slots[i - 1].tid == tid ? o.first[i - 1] : 0;
    while (o.request.slots[first].tid != tid) first++;
    o.first[i] = static_cast<uint16_t>(first);
    char path[32];
    snprintf(path, sizeof path, "%d/status", tid);
    if (first == i) o.threads[i].reset(openat(tasks.get(), path, O_RDONLY | O_CLOEXEC));
    if (o.threads[first]) continue;
    if (first == i && errno != ENOENT && errno != ESRCH) return fail_slot(o, i, errno);
    o.reply.slot_errno[i] = ESRCH;
  }
  return Status::kOpened;
}

// For a cgroup the kernel gets the number of the fd that was checked here, never a number from a
// message.
Status open_slots(Opening& o) {
  const bool cgroup = o.request.target == TargetKind::kCgroup;
  const unsigned long flags = cgroup ? PERF_FLAG_PID_CGROUP : 0;
  Attr attrs[kMaxEvents];
  for (uint32_t i = 0; i < o.request.event_count; i++) attrs[i] = build_attr(o.request.events[i]);
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    const Slot& slot = o.request.slots[i];
    const int group = slot.leader == kNoLeader ? -1 : o.events[slot.leader].get();
    if (o.reply.slot_errno[i] != 0) continue;
    errno = ESRCH;  // the only error that a leader gets this far with
    if (slot.leader == kNoLeader || group >= 0) {
      o.events[i] =
          open_event(attrs[slot.event], cgroup ? o.target : slot.tid, slot.cpu, group, flags);
    }
    if (o.events[i]) continue;
    o.reply.slot_errno[i] = static_cast<uint16_t>(errno);
    if (errno != ESRCH || o.request.target != TargetKind::kProcess) return Status::kOpenFailed;
  }
  return Status::kOpened;
}

// Every thread that was opened must, after the open, belong to the target and have the ids that
// were decided upon and no more capabilities: a process's threads may differ in both.
uint32_t compare_thread(const TaskStatus& seen, const Process& process, const Identity& expected) {
  uint32_t mismatch = seen.tgid != process.pid ? uint32_t{kMismatchThread} : 0;
  if (memcmp(seen.uid, expected.uid, sizeof expected.uid) != 0)
    mismatch |= kMismatchThread | kMismatchUid;
  if (memcmp(seen.gid, expected.gid, sizeof expected.gid) != 0)
    mismatch |= kMismatchThread | kMismatchGid;
  if ((seen.caps[kPermitted] & ~expected.permitted) != 0)
    mismatch |= kMismatchThread | kMismatchCapabilities;
  return mismatch;
}

Status verify_threads(Opening& o, const Process& process) {
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    UniqueFd& thread = o.threads[o.first[i]];
    TaskStatus status;
    if (o.first[i] == i && thread) {
      const bool lives = read_status(thread.get(), status);
      if (!lives && errno != ESRCH) return fail_slot(o, i, errno);
      const uint32_t mismatch = lives ? compare_thread(status, process, o.request.expected) : 0;
      if (mismatch != 0) return fail(o, Status::kTargetChanged, mismatch);
      if (!lives) thread.reset();
    }
    if (thread) continue;
    o.reply.slot_errno[i] = ESRCH;
    o.events[i].reset();
  }
  return Status::kOpened;
}

Status map_rings(Opening& o, Rings& rings) {
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    if (o.request.premap[i] == 0 || !o.events[i]) continue;
    const int error = rings.map(o.request.serial, o.events[i].get(), o.request.ring_pages);
    if (error != 0) return fail(o, Status::kMapFailed, static_cast<uint32_t>(error));
  }
  return Status::kOpened;
}

// Verify, open, verify again.
Status open_process_events(Opening& o, Client& client) {
  Process process;
  if (!open_process(o.config.proc_dir, o.target, process))
    return errno == ESRCH ? Status::kTargetGone : Status::kBadTarget;
  Status status = check_process(o, client, process);
  if (status == Status::kOpened) status = pin_threads(o, process);
  if (status == Status::kOpened) status = open_slots(o);
  if (status == Status::kOpened) status = verify_threads(o, process);
  if (status == Status::kOpened) status = check_process(o, client, process);
  // Is any of the requested threads left?
  const bool any = std::ranges::any_of(o.events, [](const UniqueFd& event) { return bool(event); });
  return status == Status::kOpened && !any ? Status::kOpenFailed : status;
}

Status open_request(Opening& o, Rings& rings) {
  Client client;
  if (!identify_client(o.connection, o.config.listener, client)) return Status::kBadClient;
  if (const uint32_t missing = classes_of(o.request) & ~o.config.ceiling)
    return fail(o, Status::kCeiling, missing);
  for (const EventFields& event : std::span(o.request.events, o.request.event_count)) {
    if (is_forbidden(o.config, event)) return fail(o, Status::kCeiling, kRaw);
  }
  if (o.request.target == TargetKind::kCgroup && !is_cgroup_directory(o.target))
    return Status::kBadTarget;
  const Status status =
      o.request.target == TargetKind::kProcess ? open_process_events(o, client) : open_slots(o);
  return status == Status::kOpened ? map_rings(o, rings) : status;
}

bool send_reply(const OpenerConfig& config, const Reply& reply, std::span<const int> fds) {
  return bool(send_message(config.socket, &reply, sizeof reply, fds, 0));
}

bool serve_open(Opening& o, Rings& rings) {
  o.reply.slot_count = o.request.slot_count;
  o.reply.status = open_request(o, rings);
  int handed[kMaxSlots];
  for (const UniqueFd& event : o.events) {
    if (event && o.reply.status == Status::kOpened) handed[o.reply.fd_count++] = event.get();
  }
  if (o.reply.status != Status::kOpened) rings.release(o.request.serial);
  // From here on the fds belong to the receiver; our own are closed with the Opening.
  if (send_reply(o.config, o.reply, std::span(handed, o.reply.fd_count))) return true;
  // ETOOMANYREFS, ENOMEM: the fds could not be sent; the worker continues.
  o.reply.status = fail_slot(o, 0, errno);
  o.reply.fd_count = 0;
  rings.release(o.request.serial);
  return send_reply(o.config, o.reply, {});
}

}  // namespace

std::optional<WorkerExit> serve_one(const OpenerConfig& config, Rings& rings) {
  static Request request;
  static Reply reply;
  UniqueFd fds[2];
  if (const auto end = receive_request(config.socket, "opener", request, fds, find_malformation))
    return end;
  reply = {kVersion, request.serial, Status::kReleased, 0, 0, 0, {}, 0};
  bool replied;
  if (request.type == RequestType::kOpen) {
    Opening opening{config, request, reply, fds[0].get(), fds[1].get(), {}, {}, {}};
    replied = serve_open(opening, rings);
    await_input(config.socket);
  } else {
    rings.release(request.serial);
    replied = send_reply(config, reply, {});
  }
  if (replied) return {};
  return WorkerExit::kServed;
}

int serve_opener(const OpenerConfig& config, Workers& workers) {
  if (!send_reply(config, {kVersion, 0, Status::kReleased, 0, 0, 0, {}, 0}, {})) return 0;
  return workers.run(config.socket, [&](int channel) {
    static Rings rings(workers);
    OpenerConfig own = config;
    own.socket = channel;
    std::optional<WorkerExit> end;
    while (!end) end = serve_one(own, rings);
    return *end;
  });
}

int install_opener_filter() {
  constexpr uint32_t open_flags = PERF_FLAG_FD_CLOEXEC | PERF_FLAG_PID_CGROUP;
  SeccompFilter filter;
  filter.on_bits(SYS_perf_event_open, 4, ~open_flags, kKill, kAllow);
  filter.on_bits(SYS_mmap, 2, PROT_EXEC, kKill, kAllow);
  filter.on_bits(SYS_clone, 0, ~uint32_t{SIGCHLD}, kKill, kAllow);  // workers, by plain fork
  constexpr long more[] = {SYS_recvmsg, SYS_sendmsg, SYS_getsockopt, SYS_getsockname,
      SYS_pidfd_open, SYS_fstatfs, SYS_readlinkat, SYS_munmap, SYS_rt_sigaction};
  return install_allow_list(filter, more);
}

}  // namespace perfbroker
