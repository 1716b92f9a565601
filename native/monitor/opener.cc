#include "monitor/opener.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <sys/statfs.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/perf_event.h"
#include "core/scm.h"
#include "monitor/check.h"
#include "monitor/process.h"
#include "monitor/say.h"

namespace perfbroker {

namespace {

using namespace protocol;

constexpr size_t kMaxRequestFds = 2;

// What one open request holds while it is served; all of it is closed with it.
struct Opening {
  const OpenerConfig& config;
  const Request& request;
  Reply& reply;
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
  // Generalised events name the PMU of a hybrid machine in the upper half of config.
  const bool generalised = event.type == PERF_TYPE_HARDWARE || event.type == PERF_TYPE_HW_CACHE;
  const auto type = generalised ? static_cast<uint32_t>(event.config >> 32) : event.type;
  if (type < PERF_TYPE_MAX) return false;
  return config.forbid_dynamic_types || std::ranges::find(config.forbidden_types, type) != config.forbidden_types.end();
}

uint32_t compare(const Identity& seen, const Identity& expected) {
  uint32_t mismatch = 0;
  if (seen.start_time != expected.start_time) mismatch |= kMismatchStartTime;
  if (memcmp(seen.uid, expected.uid, sizeof seen.uid) != 0) mismatch |= kMismatchUid;
  if (memcmp(seen.gid, expected.gid, sizeof seen.gid) != 0) mismatch |= kMismatchGid;
  if (seen.permitted != expected.permitted) mismatch |= kMismatchCapabilities;
  if (seen.dumpable != expected.dumpable) mismatch |= kMismatchDumpable;
  return mismatch;
}

bool is_cgroup_directory(int fd) {
  struct stat status;
  struct statfs system;
  return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) && fstatfs(fd, &system) == 0 &&
         (system.f_type == CGROUP2_SUPER_MAGIC || system.f_type == CGROUP_SUPER_MAGIC);
}

// The target as the broker says it saw it; and the client's own right to read it, unless the ceiling goes further.
Status check_process(Opening& o, int connection, int pidfd, Client& client, const Process& process) {
  Result<Identity> identity = read_identity(process.directory.get());
  if (!identity || !pidfd_alive(pidfd)) return Status::kTargetGone;
  if (const uint32_t mismatch = compare(*identity, o.request.expected)) return fail(o, Status::kTargetChanged, mismatch);
  if ((o.config.ceiling & kOtherUsers) != 0) return Status::kOpened;

  if (!client.process_known) examine_client(connection, o.config.proc_dir, client);
  const UniqueFd self(openat(o.config.proc_dir, "self", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const bool own_namespace = self && same_user_namespace(process.directory.get(), self.get());
  if (const uint32_t obstacles = same_user_obstacles(client, *identity, own_namespace)) {
    return fail(o, Status::kNotSameUser, obstacles);
  }
  return Status::kOpened;
}

// Pins every thread before anything is opened on its number. A number that a slot is opened on later is still that
// thread's when the pinned file can be read after it. ESRCH stays with the slots of threads that have ended.
Status pin_threads(Opening& o, const Process& process) {
  const UniqueFd tasks(openat(process.directory.get(), "task", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!tasks) return Status::kTargetGone;
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    const int tid = o.request.slots[i].tid;
    uint32_t first = i > 0 && o.request.slots[i - 1].tid == tid ? o.first[i - 1] : 0;
    while (o.request.slots[first].tid != tid) first++;
    o.first[i] = static_cast<uint16_t>(first);
    if (first != i) {
      o.reply.slot_errno[i] = o.reply.slot_errno[first];
      continue;
    }
    char path[32];
    snprintf(path, sizeof path, "%d/status", tid);
    o.threads[i].reset(openat(tasks.get(), path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (o.threads[i]) continue;
    if (errno != ENOENT && errno != ESRCH) return fail_slot(o, i, errno);
    o.reply.slot_errno[i] = ESRCH;
  }
  return Status::kOpened;
}

Status open_slots(Opening& o, int cgroup_dir) {
  const bool cgroup = o.request.target == TargetKind::kCgroup;
  Attr attrs[kMaxEvents];
  for (uint32_t i = 0; i < o.request.event_count; i++) attrs[i] = build_attr(o.request.events[i]);
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    if (o.reply.slot_errno[i] != 0) continue;
    const Slot& slot = o.request.slots[i];
    int group = -1;
    if (slot.leader != kNoLeader) {
      group = o.events[slot.leader].get();
      if (group < 0) {
        o.reply.slot_errno[i] = ESRCH;  // the only error that a leader gets this far with
        continue;
      }
    }
    Result<UniqueFd> event =
        open_event(attrs[slot.event], cgroup ? cgroup_dir : slot.tid, slot.cpu, group, cgroup ? PERF_FLAG_PID_CGROUP : 0);
    if (event) {
      o.events[i] = std::move(*event);
    } else if (event.error().number == ESRCH && o.request.target == TargetKind::kProcess) {
      o.reply.slot_errno[i] = ESRCH;
    } else {
      return fail_slot(o, i, event.error().number);
    }
  }
  return Status::kOpened;
}

// Every thread that was opened must, after the open, belong to the target and have the ids that were decided upon and
// no more capabilities: a process's threads may differ in both.
Status verify_threads(Opening& o, const Process& process) {
  const Identity& expected = o.request.expected;
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    if (o.first[i] != i) {
      if (o.reply.slot_errno[i] == 0) o.reply.slot_errno[i] = o.threads[o.first[i]] ? 0 : ESRCH;
    } else if (o.threads[i]) {
      Result<TaskStatus> status = read_status(o.threads[i].get());
      if (!status) {
        if (status.error().number != ESRCH) return fail_slot(o, i, status.error().number);
        o.threads[i].reset();
        o.reply.slot_errno[i] = ESRCH;
      } else {
        uint32_t mismatch = status->tgid != process.pid ? uint32_t{kMismatchThread} : 0;
        if (memcmp(status->uid, expected.uid, sizeof expected.uid) != 0) mismatch |= kMismatchThread | kMismatchUid;
        if (memcmp(status->gid, expected.gid, sizeof expected.gid) != 0) mismatch |= kMismatchThread | kMismatchGid;
        if ((status->permitted & ~expected.permitted) != 0) mismatch |= kMismatchThread | kMismatchCapabilities;
        if (mismatch != 0) return fail(o, Status::kTargetChanged, mismatch);
      }
    }
    if (o.reply.slot_errno[i] != 0) o.events[i].reset();
  }
  return Status::kOpened;
}

Status map_rings(Opening& o, Rings& rings) {
  for (uint32_t i = 0; i < o.request.slot_count; i++) {
    if (o.request.premap[i] == 0 || !o.events[i]) continue;
    if (const int error = rings.map(o.request.serial, o.events[i].get(), o.request.ring_pages)) {
      return fail(o, Status::kMapFailed, static_cast<uint32_t>(error));
    }
  }
  return Status::kOpened;
}

Status open_process_events(Opening& o, int connection, Client& client, int pidfd) {
  Result<Process> process = open_process(o.config.proc_dir, pidfd);
  if (!process) return process.error().number == ESRCH ? Status::kTargetGone : Status::kBadTarget;
  Status status = check_process(o, connection, pidfd, client, *process);
  if (status == Status::kOpened) status = pin_threads(o, *process);
  if (status == Status::kOpened) status = open_slots(o, -1);
  if (status == Status::kOpened) status = verify_threads(o, *process);
  if (status == Status::kOpened) status = check_process(o, connection, pidfd, client, *process);
  if (status != Status::kOpened) return status;
  // Not one thread left of those that were asked for.
  if (std::none_of(o.events, o.events + o.request.slot_count, [](const UniqueFd& e) { return bool(e); })) {
    return Status::kOpenFailed;
  }
  return Status::kOpened;
}

Status open_request(Opening& o, std::span<const UniqueFd> fds, Rings& rings) {
  Client client;
  if (!identify_client(fds[0].get(), o.config.listener, client)) return Status::kBadClient;
  if (const uint32_t missing = classes_of(o.request) & ~o.config.ceiling) return fail(o, Status::kCeiling, missing);
  for (uint32_t i = 0; i < o.request.event_count; i++) {
    if (is_forbidden(o.config, o.request.events[i])) return fail(o, Status::kCeiling, kRaw);
  }
  Status status = Status::kOpened;
  switch (o.request.target) {
    case TargetKind::kProcess: status = open_process_events(o, fds[0].get(), client, fds[1].get()); break;
    case TargetKind::kCgroup:
      // The number that goes to the kernel is that of the fd that was looked at here, never one out of a message.
      status = is_cgroup_directory(fds[1].get()) ? open_slots(o, fds[1].get()) : Status::kBadTarget;
      break;
    case TargetKind::kSystem: status = open_slots(o, -1); break;
  }
  return status == Status::kOpened ? map_rings(o, rings) : status;
}

bool reply_without_fds(const OpenerConfig& config, const Reply& reply) {
  return bool(send_message(config.socket, &reply, sizeof reply, {}, 0));
}

bool serve_open(const OpenerConfig& config, const Request& request, std::span<const UniqueFd> fds, Rings& rings,
                Reply& reply) {
  Opening opening{config, request, reply, {}, {}, {}};
  reply.slot_count = request.slot_count;
  reply.status = open_request(opening, fds, rings);
  int handed[kMaxSlots];
  if (reply.status == Status::kOpened) {
    for (const UniqueFd& event : std::span(opening.events, request.slot_count)) {
      if (event) handed[reply.fd_count++] = event.get();
    }
  }
  // From here on the fds belong to whoever receives them; our own are closed with `opening`.
  Result<size_t> sent = send_message(config.socket, &reply, sizeof reply, std::span(handed, reply.fd_count), 0);
  if (sent && reply.status == Status::kOpened) return true;
  rings.release(request.serial);
  if (sent) return true;
  // ETOOMANYREFS, ENOMEM: the fds could not be put in flight, which is no reason to end.
  reply.status = Status::kOpenFailed;
  reply.fd_count = 0;
  reply.slot_errno[0] = static_cast<uint16_t>(sent.error().number);
  return reply_without_fds(config, reply);
}

}  // namespace

Served serve_one(const OpenerConfig& config, Rings& rings) {
  static Request request;
  static Reply reply;
  UniqueFd fds[kMaxRequestFds];
  Result<Received> received = receive_message(config.socket, &request, sizeof request, fds, 0);
  if (!received) {
    if (received.error().number == ECONNRESET) return Served::kEnded;
    say("the opener could not receive: %s", strerrordesc_np(received.error().number));
    return Served::kMalformed;
  }
  if (received->bytes == 0 && received->fd_count == 0) return Served::kEnded;
  const char* malformed = received->bytes != sizeof request || received->truncated
                              ? "size"
                              : find_malformation(request, received->fd_count);
  if (malformed != nullptr) {
    say("the opener got a malformed request (%s): its broker is not to be trusted; ending", malformed);
    return Served::kMalformed;
  }

  reply = {};
  reply.version = kVersion;
  reply.serial = request.serial;
  bool replied = false;
  if (request.type == RequestType::kRelease) {
    rings.release(request.serial);
    reply.status = Status::kReleased;
    replied = reply_without_fds(config, reply);
  } else {
    replied = serve_open(config, request, fds, rings, reply);
  }
  return replied ? Served::kReplied : Served::kEnded;
}

int serve(const OpenerConfig& config) {
  static Rings rings;
  for (;;) {
    switch (serve_one(config, rings)) {
      case Served::kReplied: continue;
      case Served::kEnded: return 0;
      case Served::kMalformed: return kMalformedExitCode;
    }
  }
}

bool announce(const OpenerConfig& config) {
  Reply ready{};
  ready.version = kVersion;
  ready.status = Status::kReleased;
  return reply_without_fds(config, ready);
}

}  // namespace perfbroker
