// libFuzzer target for the opener: any packet with any fds. perf_event_open(2) is replaced, so that
// nothing but the opener's own code is exercised, and what it lets through is held against the
// ceiling from the outside.
//   make -C native fuzz-run FUZZ_SECONDS=60
#include <sys/socket.h>

#include <cstdlib>

// build_attr is the real one; open_event is ours, below.
#define open_event kernel_open_event
#include "core/perf_event.cc"
#undef open_event

#include "core/scm.h"
#include "opener/opener.h"

using namespace perfbroker;
using namespace perfbroker::protocol;

namespace {

unsigned opened;  // events since the beginning of this input

constexpr uint32_t kForbidden[] = {6, 7};

void require(bool good, const char* what) {
  if (good) return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}

struct World {
  int proc_dir = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  SocketAddress listener{};
  // 0 is the true connection, 1 the true target; the others are what a broker might send instead.
  int fds[8];
  Request valid{};

  World() {
    const int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
              client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{AF_UNIX, {}};
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "perfbroker-fuzz-%d", getpid());
    const auto* address = reinterpret_cast<const sockaddr*>(&name);
    require(bind(server, address, sizeof name) == 0 && listen(server, 1) == 0 &&
                connect(client, address, sizeof name) == 0 && read_address(server, listener),
        "the listener");
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "a socketpair");
    const int all[] = {accept4(server, nullptr, nullptr, SOCK_CLOEXEC),
        static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)), server, client, pair[0],
        open("/dev/null", O_RDONLY | O_CLOEXEC), open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        static_cast<int>(syscall(SYS_pidfd_open, 1, 0))};
    memcpy(fds, all, sizeof fds);
    Process self;
    require(
        open_process(proc_dir, fds[1], self) && read_identity(self.directory.get(), valid.expected),
        "this process");
    valid.version = kVersion;
    valid.type = RequestType::kOpen;
    valid.serial = 1;
    valid.target = TargetKind::kProcess;
    valid.event_count = 1;
    valid.slot_count = 2;
    valid.events[0].type = PERF_TYPE_SOFTWARE;
    valid.events[0].flags = kExcludeKernel;
    valid.slots[0] = {getpid(), -1, 0, kNoLeader};
    valid.slots[1] = {getpid(), -1, 0, 0};
  }
};

// Checks an event that the kernel would be asked for under the ceiling "user".
void require_user_only(const unsigned char* attr) {
  perf_event_attr a;
  memcpy(&a, attr, kAttrSizeVer7);
  require(
      a.type == PERF_TYPE_SOFTWARE || a.type == PERF_TYPE_HARDWARE || a.type == PERF_TYPE_HW_CACHE,
      "an event class");
  require(
      a.disabled == 1 && a.exclude_kernel == 1 && a.exclude_callchain_kernel == 1, "kernel mode");
  require((a.sample_type & (PERF_SAMPLE_PHYS_ADDR | PERF_SAMPLE_REGS_INTR)) == 0,
      "a sample of the kernel");
  require(
      a.ksymbol == 0 && a.bpf_event == 0 && a.text_poke == 0 && a.sigtrap == 0 && a.aux_output == 0,
      "a record of the kernel");
  if (a.type != PERF_TYPE_SOFTWARE) {
    for (const uint32_t type : kForbidden)
      require(a.config >> 32 != type, "a PMU whose config is a pointer");
  }
}

}  // namespace

namespace perfbroker {

UniqueFd open_event(const Attr& attr, pid_t pid, int cpu, int group, unsigned long flags) {
  require_user_only(attr.bytes);
  require(pid > 0 && cpu >= -1 && flags == 0, "a target that is not one thread");
  require(group == -1 || fcntl(group, F_GETFD) == FD_CLOEXEC, "a group leader");
  // Every seventh fails, in one of two ways.
  if (++opened % 7 == 0) {
    errno = opened % 2 == 0 ? ESRCH : EINVAL;
    return {};
  }
  return UniqueFd(open("/dev/zero", O_RDWR | O_CLOEXEC));
}

}  // namespace perfbroker

// Byte 0: how many fds, and whether the packet is cut; byte 1: which fds; the rest is XORed onto a
// valid request, so that an input of zeros is one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  static Workers workers(1);
  static Rings rings(workers);
  if (size < 2) return 0;
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "a socketpair");
  const UniqueFd broker(ends[0]), opener(ends[1]);
  const UniqueFd marker(open("/dev/null", O_RDONLY | O_CLOEXEC));

  Request request = world.valid;
  auto* bytes = reinterpret_cast<unsigned char*>(&request);
  const size_t body = std::min(size - 2, sizeof request);
  for (size_t i = 0; i < body; i++) bytes[i] ^= data[i + 2];
  // 0 and 1 fewer bits than set in byte 0 would be too few: two fds are the usual number.
  const size_t count = (2 + (data[0] & 3)) % 4;
  const int fds[] = {world.fds[data[1] & 7], world.fds[(1 + (data[1] >> 3)) & 7], world.fds[5]};
  const size_t length = (data[0] & 4) != 0 ? 1 + size % sizeof request : sizeof request;
  require(bool(send_message(broker.get(), &request, length, std::span(fds, count), 0)), "the send");
  shutdown(broker.get(), SHUT_WR);  // nothing waits for another one

  opened = 0;
  const OpenerConfig config{{opener.get(), world.proc_dir, world.listener}, kUser, kForbidden};
  if (!serve_one(config, rings)) {
    require(length == sizeof request, "a packet of another size");
    Reply reply{};
    static UniqueFd received_fds[kMaxMessageFds];
    const std::optional<Received> received =
        receive_message(broker.get(), &reply, sizeof reply, received_fds, MSG_DONTWAIT);
    require(bool(received) && received->bytes == sizeof reply, "the reply");
    require(received->fd_count == reply.fd_count && reply.fd_count <= request.slot_count,
        "the number of fds");
    require(reply.version == kVersion && reply.serial == request.serial &&
                reply.status <= Status::kReleased,
        "the reply's head");
    if (reply.fd_count > 0) {
      require(reply.status == Status::kOpened, "fds beside a refusal");
      require(fds[0] == world.fds[0] && fds[1] == world.fds[1] && count == 2,
          "whose connection or whose process it is");
      size_t good = 0;
      for (uint32_t i = 0; i < request.slot_count; i++) good += reply.slot_errno[i] == 0;
      require(good == reply.fd_count, "the errnos beside the fds");
    }
    for (UniqueFd& fd : received_fds) fd.reset();
  }
  rings.release(request.serial);
  // A leaked fd would have taken the next number.
  const UniqueFd next(open("/dev/null", O_RDONLY | O_CLOEXEC));
  require(next.get() == marker.get() + 1, "an fd was left behind");
  return 0;
}
