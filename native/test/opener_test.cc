// A broker that lies, and everything that changes under the opener's hands: driven directly, as root, with clients and
// targets under made-up uids.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <atomic>
#include <optional>
#include <thread>

#include "test/processes.h"

using namespace harness;
using namespace perfbroker::protocol;

namespace {

constexpr uid_t kAlice = 60123, kBob = 60124;

#define STATUS(answer, wanted) EQUAL((answer).reply.status, Status::wanted)

// A thread of this process that lives until the process ends. Its tid.
int start_thread() {
  static std::atomic<int> tid;
  tid = 0;
  std::thread([] {
    tid = static_cast<int>(syscall(SYS_gettid));
    for (;;) pause();
  }).detach();
  while (tid == 0) usleep(100);
  return tid;
}

std::vector<int> threads_of(pid_t pid) {
  std::vector<int> tids;
  DIR* directory = opendir(("/proc/" + std::to_string(pid) + "/task").c_str());
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') tids.push_back(atoi(entry->d_name));
  }
  closedir(directory);
  return tids;
}

}  // namespace

ROOT_TEST("an event on the client's own process is opened, disabled and close-on-exec, and counts when enabled") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { for (int i = 0; i < 10'000'000; i++) asm volatile(""); });
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kOpened);
  EQUAL(answer.reply.serial, 1);
  EQUAL(answer.reply.slot_count, 1);
  if (answer.fds.size() != 1) return CHECK(answer.fds.size() == 1);
  const int event = answer.fds[0].get();
  EQUAL(fcntl(event, F_GETFD), FD_CLOEXEC);
  uint64_t count = 1;
  target.command('w');
  CHECK(read(event, &count, sizeof count) == sizeof count && count == 0);
  CHECK(ioctl(event, PERF_EVENT_IOC_ENABLE, 0) == 0);
  target.command('w');
  CHECK(read(event, &count, sizeof count) == sizeof count && count > 0);
}

ROOT_TEST("an identity that is not the target's is refused, field by field") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  const struct { void (*lie)(Identity&); uint32_t detail; } lies[] = {
      {[](Identity& i) { i.start_time++; }, kMismatchStartTime},
      {[](Identity& i) { i.uid[0] = 0; }, kMismatchUid},
      {[](Identity& i) { i.uid[2] = 0; }, kMismatchUid},
      {[](Identity& i) { i.gid[1] = 0; }, kMismatchGid},
      {[](Identity& i) { i.permitted = 1; }, kMismatchCapabilities},
      {[](Identity& i) { i.dumpable = 0; }, kMismatchDumpable},
      {[](Identity& i) { i = {}; }, kMismatchStartTime | kMismatchUid | kMismatchGid | kMismatchDumpable}};
  for (const auto& lie : lies) {
    Request request = request_for(target);
    lie.lie(request.expected);
    auto answer = opener.ask(request, fds);
    STATUS(answer, kTargetChanged);
    EQUAL(answer.reply.detail, lie.detail);
    EQUAL(answer.fds.size(), 0);
  }
}

ROOT_TEST("another user's process is refused under the ceiling user, and opened under other-users") {
  Socket socket;
  Connection alice(socket, kAlice);
  Target target(kBob);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  Opener strict(socket, kAllClasses & ~uint32_t{kOtherUsers});
  auto answer = strict.ask(request_for(target), fds);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchUid | kMismatchGid);
  Opener open(socket, kUser | kOtherUsers);
  STATUS(open.ask(request_for(target), fds), kOpened);
}

ROOT_TEST("one differing id among real, effective and saved is enough to refuse") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  // Its saved uid stays root's, as in a setuid program that dropped its rights for a while.
  Target target(0, [](char) {
    CHECK(setgroups(0, nullptr) == 0 && setresgid(kAlice, kAlice, kAlice) == 0 && setresuid(kAlice, kAlice, 0) == 0);
    const CapSets none;
    set_caps(none);
    prctl(PR_SET_DUMPABLE, 1);
  });
  target.command('u');
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchUid);
}

ROOT_TEST("a target that is not dumpable is refused though it runs under the client's ids") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { prctl(PR_SET_DUMPABLE, 0); });
  target.command('d');
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchDumpable);
}

ROOT_TEST("a target with a capability that the client has not is refused") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(0, [](char) {
    prctl(PR_SET_KEEPCAPS, 1);
    become(kAlice);
    set_caps({0, cap_bit(CAP_NET_RAW), 0});
    prctl(PR_SET_DUMPABLE, 1);
  });
  target.command('c');
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchCapabilities);
}

ROOT_TEST("a target or a client in another user namespace is refused") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { CHECK(unshare(CLONE_NEWUSER) == 0); prctl(PR_SET_DUMPABLE, 1); });
  target.command('n');
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kNotSameUser);
  CHECK((answer.reply.detail & kMismatchUserNamespace) != 0);

  Connection inside(socket, kAlice, [](char) { CHECK(unshare(CLONE_NEWUSER) == 0); prctl(PR_SET_DUMPABLE, 1); });
  inside.client.say('n');
  EQUAL(inside.client.hear(), 'd');
  Target plain(kAlice);
  const int other[] = {inside.accepted.get(), plain.pidfd()};
  answer = opener.ask(request_for(plain), other);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchUserNamespace);
}

ROOT_TEST("a client that is gone, or became somebody else after connecting, lends nothing") {
  Socket socket;
  Opener opener(socket, kUser);
  Target target(kAlice);
  {
    Connection gone(socket, kAlice);
    gone.client.end();
    const int fds[] = {gone.accepted.get(), target.pidfd()};
    auto answer = opener.ask(request_for(target), fds);
    STATUS(answer, kNotSameUser);
    EQUAL(answer.reply.detail, kMismatchUserNamespace);
  }
  Connection changed(socket, 0, [](char) { become(kBob); });
  changed.client.say('b');
  EQUAL(changed.client.hear(), 'd');
  Target root(0);
  const int fds[] = {changed.accepted.get(), root.pidfd()};
  auto answer = opener.ask(request_for(root), fds);
  STATUS(answer, kNotSameUser);
  CHECK((answer.reply.detail & kMismatchCapabilities) != 0);
}

ROOT_TEST("capabilities that the client's process got after connecting, or hides, are not the client's") {
  Socket socket;
  Opener opener(socket, kUser);
  // Alice's own process with a capability: what only a client with that capability may read.
  const auto with_net_raw = [](char) {
    prctl(PR_SET_KEEPCAPS, 1);
    become(kAlice);
    set_caps({0, cap_bit(CAP_NET_RAW), 0});
    prctl(PR_SET_DUMPABLE, 1);
  };
  Target target(0, with_net_raw);
  target.command('c');

  Connection same(socket, kAlice, [](char) {});
  const int as_alice[] = {same.accepted.get(), target.pidfd()};
  STATUS(opener.ask(request_for(target), as_alice), kNotSameUser);

  // Connects as alice and is root again afterwards, as one who executes a setuid program would be.
  const auto connect_as_alice = [&socket](const std::function<void(int)>& before, const std::function<void()>& after) {
    return [=, &socket](int channel) {
      before(channel);
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      if (connect(fd, reinterpret_cast<const sockaddr*>(&socket.address.value), socket.address.length) != 0) _exit(71);
      after();
      target_body(0)(channel);
    };
  };
  Child risen(connect_as_alice(
      [](int) {
        if (setgroups(0, nullptr) != 0 || setresgid(kAlice, kAlice, kAlice) != 0 || setresuid(kAlice, kAlice, 0) != 0) _exit(70);
      },
      [] {
        if (setresuid(0, 0, 0) != 0) _exit(70);
        prctl(PR_SET_DUMPABLE, 1);
      }));
  const UniqueFd risen_fd(accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EQUAL(risen.hear(), 'r');
  const int as_root[] = {risen_fd.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), as_root);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchCapabilities | kMismatchUserNamespace);

  // Has the capability under its own ids, dumpable or not, as a program with file capabilities has.
  for (const bool dumpable : {true, false}) {
    Child capable(connect_as_alice([&](int) { with_net_raw('c'); }, [=] { prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0); }));
    const UniqueFd fd(accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EQUAL(capable.hear(), 'r');
    const int fds[] = {fd.get(), target.pidfd()};
    auto told = opener.ask(request_for(target), fds);
    EQUAL(told.reply.status, dumpable ? Status::kOpened : Status::kNotSameUser);
  }
}

ROOT_TEST("root's own process is opened for root under the ceiling user") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection root(socket, 0);
  Target target(0);
  const int fds[] = {root.accepted.get(), target.pidfd()};
  STATUS(opener.ask(request_for(target), fds), kOpened);
}

ROOT_TEST("only a connection that was accepted on our listener is a client's") {
  Socket socket, elsewhere;
  Opener opener(socket, kAllClasses);
  Connection foreign(elsewhere, kAlice);
  Target target(kAlice);
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  const UniqueFd datagram(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)), null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd unconnected(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), tcp(::socket(AF_INET, SOCK_STREAM, 0));
  // The client's end of a true connection has no name of its own.
  const UniqueFd client_end(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(client_end.get(), reinterpret_cast<sockaddr*>(&socket.address.value), socket.address.length) == 0);
  for (const int fd : {foreign.accepted.get(), pair[0], datagram.get(), null.get(), unconnected.get(), tcp.get(),
                       socket.fd.get(), client_end.get(), target.pidfd()}) {
    const int fds[] = {fd, target.pidfd()};
    auto answer = opener.ask(request_for(target), fds);
    STATUS(answer, kBadClient);
    EQUAL(answer.fds.size(), 0);
  }
}

ROOT_TEST("a socket with our name that is connected to a service of root's is no connection of root's") {
  Socket socket, service;
  Opener opener(socket, protocol::kUser);
  Target target(0);
  // Where the name is free: in a mount namespace of one's own. Here it is moved out of the way.
  const std::string moved = socket.path + ".moved";
  CHECK(rename(socket.path.c_str(), moved.c_str()) == 0);
  const UniqueFd forged(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(bind(forged.get(), reinterpret_cast<sockaddr*>(&socket.address.value), socket.address.length) == 0);
  CHECK(connect(forged.get(), reinterpret_cast<sockaddr*>(&service.address.value), service.address.length) == 0);
  CHECK(rename(moved.c_str(), socket.path.c_str()) == 0);
  const int fds[] = {forged.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kBadClient);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST("what is not in the ceiling is refused, with the class that is missing") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  const struct { void (*ask)(EventFields&); uint32_t detail; } asked[] = {
      {[](EventFields& e) { e.flags = 0; }, kKernel},
      {[](EventFields& e) { e.sample_type = PERF_SAMPLE_PHYS_ADDR; }, kKernel},
      {[](EventFields& e) { e.type = PERF_TYPE_RAW; }, kRaw},
      {[](EventFields& e) { e.type = PERF_TYPE_TRACEPOINT; e.flags = 0; }, kTracepoint | kKernel},
      {[](EventFields& e) { e.type = PERF_TYPE_BREAKPOINT; e.bp_type = 1; e.config1 = 4096; e.config2 = 1; }, kBreakpoint}};
  for (const auto& each : asked) {
    Request request = request_for(target);
    each.ask(request.events[0]);
    auto answer = opener.ask(request, fds);
    STATUS(answer, kCeiling);
    EQUAL(answer.reply.detail, each.detail);
  }
  Request everything = request_for(target);
  everything.target = TargetKind::kSystem;
  everything.expected = {};
  everything.slots[0] = {-1, 0, 0, kNoLeader};
  auto answer = opener.ask(everything, std::span(fds, 1));
  STATUS(answer, kCeiling);
  EQUAL(answer.reply.detail, kSystemWide);
}

ROOT_TEST("PMUs whose config is a pointer are refused under any ceiling, by their type and as a generalised event's PMU") {
  Socket socket;
  Opener opener(socket, kAllClasses, {6, 7});
  Opener unknown(socket, kAllClasses, {OpenerConfig::kEveryType});
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  Request request = request_for(target);
  request.events[0].type = 7;
  auto answer = opener.ask(request, fds);
  STATUS(answer, kCeiling);
  EQUAL(answer.reply.detail, kRaw);
  STATUS(unknown.ask(request, fds), kCeiling);
  request.events[0].type = PERF_TYPE_HARDWARE;
  request.events[0].config = 6ull << 32;
  STATUS(opener.ask(request, fds), kCeiling);
  // The kernel's answer, whichever it is on this machine: the request got as far as that.
  request.events[0].type = 4711;
  STATUS(opener.ask(request, fds), kOpenFailed);
  STATUS(unknown.ask(request, fds), kCeiling);
  STATUS(unknown.ask(request_for(target), fds), kOpened);
}

ROOT_TEST("a target fd that is no pidfd, or a pidfd of a thread alone, is refused") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd directory(open(("/proc/" + std::to_string(target.pid())).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const int fd : {null.get(), directory.get(), alice.accepted.get()}) {
    const int fds[] = {alice.accepted.get(), fd};
    STATUS(opener.ask(request_for(target), fds), kBadTarget);
  }
}

ROOT_TEST("a target that has ended is told apart from one that changed") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const Request request = request_for(target);
  const UniqueFd pidfd(fcntl(target.pidfd(), F_DUPFD_CLOEXEC, 0));
  target.end();
  const int fds[] = {alice.accepted.get(), pidfd.get()};
  STATUS(opener.ask(request, fds), kTargetGone);
}

ROOT_TEST("a setresuid between the decision and the request is noticed") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(0, [](char) { become(kBob); });
  const Request request = request_for(target);
  target.command('u');
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kTargetChanged);
  EQUAL(answer.reply.detail & ~kMismatchDumpable, kMismatchUid | kMismatchGid | kMismatchCapabilities);
}

ROOT_TEST("an exec of a setuid program between the decision and the request is noticed") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  char program[] = "/tmp/perfbroker-setuid-XXXXXX";
  UniqueFd copy(mkostemp(program, O_CLOEXEC));
  const UniqueFd sleep(open("/bin/sleep", O_RDONLY | O_CLOEXEC));
  struct statvfs fs;
  CHECK(fstatvfs(copy.get(), &fs) == 0);
  char block[1 << 16];
  for (ssize_t got; (got = read(sleep.get(), block, sizeof block)) > 0;) CHECK(write(copy.get(), block, size_t(got)) == got);
  CHECK(fchmod(copy.get(), 04755) == 0);
  // Written through this process's fd: it must be closed before the program can be executed.
  copy.reset();
  if ((fs.f_flag & ST_NOSUID) != 0) {
    unlink(program);
    SKIP("/tmp is mounted nosuid");
  }
  Target target(kAlice, [&program](char) { execl(program, "sleep", "60", nullptr); });
  const Request request = request_for(target);
  target.say('x');
  for (int i = 0; i < 500 && identity_of(target.pidfd()).uid[1] != 0; i++) usleep(2000);
  unlink(program);
  EQUAL(identity_of(target.pidfd()).uid[1], 0);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kTargetChanged);
  CHECK((answer.reply.detail & kMismatchUid) != 0);
}

namespace {

// Holds the opener inside of perf_event_open with a seccomp notification until the test has changed the world.
class HeldOpener {
 public:
  HeldOpener(const Socket& socket, uint32_t ceiling) : pair_{-1, -1} {
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair_) == 0);
    opener.emplace(socket, ceiling, std::vector<uint32_t>{}, [this] {
      sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
      const sock_fprog program{4, code};
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      const int fd = static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
      const int fds[] = {fd};
      if (!send_message(pair_[1], "x", 1, fds, 0)) _exit(73);
      close(fd);
    });
    char byte;
    UniqueFd fd[1];
    CHECK(bool(receive_message(pair_[0], &byte, 1, fd, 0)));
    listener_ = std::move(fd[0]);
  }
  // Waits for the next perf_event_open, calls `meanwhile`, lets it go on.
  void hold(const std::function<void()>& meanwhile) {
    seccomp_notif call{};
    CHECK(ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) == 0);
    EQUAL(call.data.nr, SYS_perf_event_open);
    meanwhile();
    seccomp_notif_resp go{};
    go.id = call.id;
    go.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    CHECK(ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &go) == 0);
  }
  std::optional<Opener> opener;

 private:
  int pair_[2];
  UniqueFd listener_;
};

}  // namespace

ROOT_TEST("a setresuid while the event is being opened closes it again") {
  Socket socket;
  HeldOpener held(socket, kAllClasses);
  Connection root(socket, 0);
  Target target(0, [](char) { become(kBob); });
  const int fds[] = {root.accepted.get(), target.pidfd()};
  const size_t before = held.opener->count_fds();
  held.opener->send_request(request_for(target), fds);
  held.hold([&] { target.command('u'); });
  auto answer = held.opener->receive_reply();
  STATUS(answer, kTargetChanged);
  CHECK((answer.reply.detail & (kMismatchUid | kMismatchThread)) == (kMismatchUid | kMismatchThread));
  EQUAL(answer.fds.size(), 0);
  EQUAL(held.opener->count_fds(), before);
}

ROOT_TEST("a target that stops being dumpable while the event is being opened loses it") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { prctl(PR_SET_DUMPABLE, 0); });
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  held.opener->send_request(request_for(target), fds);
  held.hold([&] { target.command('d'); });
  auto answer = held.opener->receive_reply();
  STATUS(answer, kTargetChanged);
  EQUAL(answer.reply.detail, kMismatchDumpable);
}

ROOT_TEST("a target that ends while the event is being opened gives no fd") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const UniqueFd pidfd(fcntl(target.pidfd(), F_DUPFD_CLOEXEC, 0));
  const int fds[] = {alice.accepted.get(), pidfd.get()};
  held.opener->send_request(request_for(target), fds);
  held.hold([&] { target.end(); });
  auto answer = held.opener->receive_reply();
  CHECK(answer.reply.status == Status::kTargetGone || answer.reply.status == Status::kOpenFailed);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST("a thread with ids or capabilities of its own is refused though its process is as expected") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection root(socket, 0);
  // The raw call changes one thread only, which glibc's would not.
  Target target(0, [](char) {
    static std::atomic<bool> done;
    std::thread([] {
      syscall(SYS_setresuid, kBob, kBob, kBob);
      done = true;
      for (;;) pause();
    }).detach();
    while (!done) usleep(100);
  });
  target.command('t');
  Request request = request_for(target);
  const int fds[] = {root.accepted.get(), target.pidfd()};
  STATUS(opener.ask(request, fds), kOpened);
  const std::vector<int> tids = threads_of(target.pid());
  EQUAL(tids.size(), 2);
  request.slots[0].tid = tids[0] == target.pid() ? tids[1] : tids[0];
  auto answer = opener.ask(request, fds);
  STATUS(answer, kTargetChanged);
  EQUAL(answer.reply.detail, kMismatchThread | kMismatchUid);
}

ROOT_TEST("a thread with a capability more than its process is refused") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection root(socket, 0);
  // capset acts on the calling thread: the other one keeps what it had.
  Target target(0, [](char) {
    start_thread();
    set_caps({});
  });
  target.command('t');
  Request request = request_for(target);
  EQUAL(request.expected.permitted, 0);
  const int fds[] = {root.accepted.get(), target.pidfd()};
  STATUS(opener.ask(request, fds), kOpened);
  for (const int tid : threads_of(target.pid())) {
    if (tid != target.pid()) request.slots[0].tid = tid;
  }
  auto answer = opener.ask(request, fds);
  STATUS(answer, kTargetChanged);
  EQUAL(answer.reply.detail, kMismatchThread | kMismatchCapabilities);
}

ROOT_TEST("a pidfd of one thread does not stand for its process") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { start_thread(); });
  target.command('t');
  Request request = request_for(target);
  for (const int tid : threads_of(target.pid())) {
    if (tid != target.pid()) request.slots[0].tid = tid;
  }
  constexpr unsigned pidfd_thread = O_EXCL;  // PIDFD_THREAD, Linux 6.9
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, request.slots[0].tid, pidfd_thread)));
  if (!pidfd) SKIP("this kernel has no pidfd of a thread");
  request.expected = identity_of(pidfd.get());
  const int fds[] = {alice.accepted.get(), pidfd.get()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kTargetChanged);
  EQUAL(answer.reply.detail, kMismatchThread);
}

ROOT_TEST("a thread of another process is never opened for the target") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(kAlice), other(kAlice);
  Request request = request_for(target);
  request.slots[0].tid = other.pid();
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kOpenFailed);
  EQUAL(answer.reply.slot_errno[0], ESRCH);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST("a thread that has ended gives ESRCH to its slots, group members included, and the others are opened") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { start_thread(); });
  target.command('t');
  Request request = request_for(target);
  const std::vector<int> tids = threads_of(target.pid());
  EQUAL(tids.size(), 2);
  request.slot_count = 5;
  request.slots[0] = {tids[0], -1, 0, kNoLeader};
  request.slots[1] = {999'999'999, -1, 0, kNoLeader};
  request.slots[2] = {999'999'999, -1, 0, 1};
  request.slots[3] = {tids[1], -1, 0, kNoLeader};
  request.slots[4] = {tids[1], -1, 0, 3};
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kOpened);
  EQUAL(answer.fds.size(), 3);
  constexpr int wanted[] = {0, ESRCH, ESRCH, 0, 0};
  for (int i = 0; i < 5; i++) EQUAL(answer.reply.slot_errno[i], wanted[i]);
}

ROOT_TEST("what the kernel refuses is told with its errno, for its slot, and nothing is handed over") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  Request request = request_for(target);
  request.event_count = request.slot_count = 2;
  request.events[1] = request.events[0];
  request.events[1].config = 4711;  // no such software event
  request.slots[1] = {target.pid(), -1, 1, kNoLeader};
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kOpenFailed);
  EQUAL(answer.reply.slot_errno[0], 0);
  CHECK(answer.reply.slot_errno[1] == ENOENT || answer.reply.slot_errno[1] == EINVAL);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST("253 slots in one request come back as 253 fds in slot order") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  Request request = request_for(target);
  request.slot_count = kMaxSlots;
  request.event_count = 2;
  request.events[1] = request.events[0];
  request.events[1].read_format = PERF_FORMAT_ID;
  for (uint32_t i = 0; i < kMaxSlots; i++) request.slots[i] = {target.pid(), -1, static_cast<uint16_t>(i % 2), kNoLeader};
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kOpened);
  EQUAL(answer.fds.size(), kMaxSlots);
  for (size_t i = 0; i < answer.fds.size(); i++) {
    uint64_t values[4];
    EQUAL(read(answer.fds[i].get(), values, sizeof values), i % 2 == 0 ? 8 : 16);
  }
}

ROOT_TEST("a group is read through its leader") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  Request request = request_for(target);
  request.events[0].read_format = PERF_FORMAT_GROUP;
  request.slot_count = 3;
  request.slots[1] = request.slots[2] = {target.pid(), -1, 0, 0};
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kOpened);
  if (answer.fds.size() != 3) return CHECK(answer.fds.size() == 3);
  uint64_t values[8] = {};
  EQUAL(read(answer.fds[0].get(), values, sizeof values), 4 * 8);
  EQUAL(values[0], 3);
}

ROOT_TEST("a ring mapped in advance lets a client without memlock map it, and is unmapped by its release") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  Request request = request_for(target);
  request.serial = 77;
  request.events[0].sample_period = 1'000'000;
  request.slot_count = 2;
  request.slots[1] = request.slots[0];
  request.ring_pages = 1024;
  request.premap[0] = 1;
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kOpened);
  if (answer.fds.size() != 2) return CHECK(answer.fds.size() == 2);
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), length = 1025 * page;
  EQUAL(opener.ring_bytes(), length);
  // The client: no memlock, no capability. The second event's ring was not mapped in advance.
  Child client([&](int) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_MEMLOCK, &none);
    become(kAlice);
    void* first = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[0].get(), 0);
    void* second = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[1].get(), 0);
    _exit(first == MAP_FAILED ? 1 : second != MAP_FAILED || errno != EPERM ? 2 : 0);
  });
  EQUAL(client.wait(), 0);
  Request release{};
  release.version = kVersion;
  release.type = RequestType::kRelease;
  release.serial = 76;
  STATUS(opener.ask(release, {}), kReleased);
  EQUAL(opener.ring_bytes(), length);
  release.serial = 77;
  auto released = opener.ask(release, {});
  STATUS(released, kReleased);
  EQUAL(released.reply.serial, 77);
  EQUAL(opener.ring_bytes(), 0);
}

ROOT_TEST("rings beyond the limit are refused and those of the same request unmapped") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  Request request = request_for(target);
  request.events[0].sample_period = 1'000'000;
  request.slot_count = 3;
  request.ring_pages = 32768;  // 128 MiB each, 256 MiB in all
  for (uint32_t i = 0; i < 3; i++) request.slots[i] = request.slots[0], request.premap[i] = 1;
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request, fds);
  STATUS(answer, kMapFailed);
  EQUAL(answer.reply.detail, ENOSPC);
  EQUAL(answer.fds.size(), 0);
  EQUAL(opener.ring_bytes(), 0);
}

ROOT_TEST("system-wide events are opened on their cpu") {
  Socket socket;
  Opener opener(socket, kUser | kSystemWide);
  Connection alice(socket, kAlice);
  Request request{};
  request.version = kVersion;
  request.type = RequestType::kOpen;
  request.serial = 1;
  request.target = TargetKind::kSystem;
  request.event_count = request.slot_count = 1;
  request.events[0].type = PERF_TYPE_SOFTWARE;
  request.events[0].flags = kExcludeKernel;
  request.slots[0] = {-1, 0, 0, kNoLeader};
  const int fds[] = {alice.accepted.get()};
  STATUS(opener.ask(request, fds), kOpened);
  request.slots[0].cpu = 60'000;
  STATUS(opener.ask(request, fds), kOpenFailed);
}

ROOT_TEST("a plain directory, a file and a pidfd are no cgroup, and a real one reaches the kernel") {
  Socket socket;
  Opener opener(socket, kUser | kSystemWide);
  Connection alice(socket, kAlice);
  Request request{};
  request.version = kVersion;
  request.type = RequestType::kOpen;
  request.serial = 1;
  request.target = TargetKind::kCgroup;
  request.event_count = request.slot_count = 1;
  request.events[0].type = PERF_TYPE_SOFTWARE;
  request.events[0].flags = kExcludeKernel;
  request.slots[0] = {-1, 0, 0, kNoLeader};
  const UniqueFd directory(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const int fd : {directory.get(), null.get(), alice.client.pidfd(), socket.fd.get()}) {
    const int fds[] = {alice.accepted.get(), fd};
    STATUS(opener.ask(request, fds), kBadTarget);
  }
  for (const char* path : {"/sys/fs/cgroup/perf_event", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    const UniqueFd cgroup(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs fs;
    if (!cgroup || fstatfs(cgroup.get(), &fs) != 0 || (fs.f_type != 0x63677270 && fs.f_type != 0x27e0eb)) continue;
    const UniqueFd procs(openat(cgroup.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC));
    const int file[] = {alice.accepted.get(), procs.get()};
    STATUS(opener.ask(request, file), kBadTarget);
    const int fds[] = {alice.accepted.get(), cgroup.get()};
    auto answer = opener.ask(request, fds);
    CHECK(answer.reply.status == Status::kOpened || answer.reply.status == Status::kOpenFailed);
    return;
  }
  SKIP("no cgroup file system is mounted");
}

ROOT_TEST("1,000 requests, of which every third fails, leave no fd and no mapping in the opener") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice), foreign(kBob);
  const int mine[] = {alice.accepted.get(), target.pidfd()}, theirs[] = {alice.accepted.get(), foreign.pidfd()};
  Request request = request_for(target);
  request.slot_count = 3;
  request.slots[1] = request.slots[2] = request.slots[0];
  request.events[0].sample_period = 1'000'000;
  const Request refused = request_for(foreign);
  opener.ask(request, mine);
  const size_t before = opener.count_fds();
  for (int i = 0; i < 1000; i++) {
    auto answer = i % 3 == 0 ? opener.ask(refused, theirs) : opener.ask(request, mine);
    EQUAL(answer.reply.status, i % 3 == 0 ? Status::kNotSameUser : Status::kOpened);
  }
  EQUAL(opener.count_fds(), before);
  EQUAL(opener.ring_bytes(), 0);
}

ROOT_TEST("the opener ends with 0 when its broker has closed") {
  Socket socket;
  Opener opener(socket, kUser);
  shutdown(opener.socket(), SHUT_RDWR);
  EQUAL(opener.wait(), 0);
}

ROOT_TEST("a malformed request ends the opener with its own code, whatever is wrong") {
  Socket socket;
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd(), target.pidfd()};
  const Request good = request_for(target);
  const int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto ends = [&](const void* data, size_t size, size_t count) {
    Opener opener(socket, kUser, {}, [&] { dup2(quiet, STDERR_FILENO); });
    CHECK(bool(send_message(opener.socket(), data, size, std::span(fds, count), 0)));
    EQUAL(opener.wait(), kMalformedExitCode);
  };
  std::vector<unsigned char> longer(sizeof good + 1);
  memcpy(longer.data(), &good, sizeof good);
  ends(longer.data(), longer.size(), 2);      // one byte too long
  ends(&good, sizeof good - 1, 2);            // and too short
  ends(&good, 1, 2);
  for (const size_t count : {0u, 1u, 3u}) ends(&good, sizeof good, count);
  Request bad = good;
  bad.version++;
  ends(&bad, sizeof bad, 2);
  bad = good;
  bad.slot_count = ~0u;
  ends(&bad, sizeof bad, 2);
}
