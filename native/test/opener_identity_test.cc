// A broker that lies about who asks and about whom: whose connection it is, whose process, and what
// the ceiling lets.
#include "test/processes.h"

using namespace harness;
using namespace perfbroker::protocol;

ROOT_TEST("an identity that is not the target's is refused, field by field") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  const struct {
    void (*lie)(Identity&);
    uint32_t detail;
  } lies[] = {{[](Identity& i) { i.start_time++; }, kMismatchStartTime},
      {[](Identity& i) { i.uid[0] = 0; }, kMismatchUid},
      {[](Identity& i) { i.uid[2] = 0; }, kMismatchUid},
      {[](Identity& i) { i.gid[1] = 0; }, kMismatchGid},
      {[](Identity& i) { i.permitted = 1; }, kMismatchCapabilities},
      {[](Identity& i) { i.dumpable = 0; }, kMismatchDumpable},
      {[](Identity& i) { i = {}; },
          kMismatchStartTime | kMismatchUid | kMismatchGid | kMismatchDumpable}};
  for (const auto& lie : lies) {
    Request request = request_for(target);
    lie.lie(request.expected);
    auto answer = opener.ask(request, fds);
    STATUS(answer, kTargetChanged);
    EQUAL(answer.reply.detail, lie.detail);
    EQUAL(answer.fds.size(), 0);
  }
}

ROOT_TEST(
    "another user's process is refused under the ceiling user, and opened under other-users") {
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
    CHECK(setgroups(0, nullptr) == 0 && setresgid(kAlice, kAlice, kAlice) == 0 &&
          setresuid(kAlice, kAlice, 0) == 0);
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

ROOT_TEST("a target with a capability that the client does not have is refused") {
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
  Target target(kAlice, [](char) {
    CHECK(unshare(CLONE_NEWUSER) == 0);
    prctl(PR_SET_DUMPABLE, 1);
  });
  target.command('n');
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kNotSameUser);
  CHECK((answer.reply.detail & kMismatchUserNamespace) != 0);

  Connection inside(socket, kAlice, [](char) {
    CHECK(unshare(CLONE_NEWUSER) == 0);
    prctl(PR_SET_DUMPABLE, 1);
  });
  inside.client.say('n');
  EQUAL(inside.client.hear(), 'd');
  Target plain(kAlice);
  const int other[] = {inside.accepted.get(), plain.pidfd()};
  answer = opener.ask(request_for(plain), other);
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchUserNamespace);
}

ROOT_TEST("a client that is gone, or changed its user after connecting, lends nothing") {
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

ROOT_TEST(
    "capabilities that the client's process got after connecting, or hides, are not the client's") {
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
  const auto connect_as_alice = [&socket](const std::function<void(int)>& before,
                                    const std::function<void()>& after) {
    return [=, &socket](int channel) {
      before(channel);
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      if (connect(fd, reinterpret_cast<const sockaddr*>(&socket.address.value),
              socket.address.length) != 0)
        _exit(71);
      after();
      target_body(0)(channel);
    };
  };
  Child risen(connect_as_alice(
      [](int) {
        if (setgroups(0, nullptr) != 0 || setresgid(kAlice, kAlice, kAlice) != 0 ||
            setresuid(kAlice, kAlice, 0) != 0)
          _exit(70);
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
    Child capable(connect_as_alice(
        [&](int) { with_net_raw('c'); }, [=] { prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0); }));
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
  const UniqueFd datagram(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
      null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd unconnected(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      tcp(::socket(AF_INET, SOCK_STREAM, 0));
  // The client's end of a true connection has no name of its own.
  const UniqueFd client_end(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(client_end.get(), reinterpret_cast<sockaddr*>(&socket.address.value),
            socket.address.length) == 0);
  for (const int fd : {foreign.accepted.get(), pair[0], datagram.get(), null.get(),
           unconnected.get(), tcp.get(), socket.fd.get(), client_end.get(), target.pidfd()}) {
    const int fds[] = {fd, target.pidfd()};
    auto answer = opener.ask(request_for(target), fds);
    STATUS(answer, kBadClient);
    EQUAL(answer.fds.size(), 0);
  }
}

ROOT_TEST(
    "a socket with our name that is connected to a service of root's is not a connection of "
    "root's") {
  Socket socket, service;
  Opener opener(socket, protocol::kUser);
  Target target(0);
  // An attacker has a free name in its own mount namespace. Here the test moves the socket away.
  const std::string moved = socket.path + ".moved";
  CHECK(rename(socket.path.c_str(), moved.c_str()) == 0);
  const UniqueFd forged(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(bind(forged.get(), reinterpret_cast<sockaddr*>(&socket.address.value),
            socket.address.length) == 0);
  CHECK(connect(forged.get(), reinterpret_cast<sockaddr*>(&service.address.value),
            service.address.length) == 0);
  CHECK(rename(moved.c_str(), socket.path.c_str()) == 0);
  const int fds[] = {forged.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kBadClient);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST("a class that the ceiling does not have is refused, and the reply names it") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  const struct {
    void (*ask)(EventFields&);
    uint32_t detail;
  } asked[] = {{[](EventFields& e) { e.flags = 0; }, kKernel},
      {[](EventFields& e) { e.sample_type = PERF_SAMPLE_PHYS_ADDR; }, kKernel},
      {[](EventFields& e) { e.type = PERF_TYPE_RAW; }, kRaw},
      {[](EventFields& e) {
         e.type = PERF_TYPE_TRACEPOINT;
         e.flags = 0;
       },
          kTracepoint | kKernel},
      {[](EventFields& e) {
         e.type = PERF_TYPE_BREAKPOINT;
         e.bp_type = 1;
         e.config1 = 4096;
         e.config2 = 1;
       },
          kBreakpoint}};
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

ROOT_TEST(
    "PMUs whose config is a pointer are refused under any ceiling, by their type and as a "
    "generalised event's PMU") {
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
  // Any answer of the kernel, which depends on the machine: the request got as far as that.
  request.events[0].type = 4711;
  STATUS(opener.ask(request, fds), kOpenFailed);
  STATUS(unknown.ask(request, fds), kCeiling);
  STATUS(unknown.ask(request_for(target), fds), kOpened);
}

ROOT_TEST("a target fd that is not a pidfd, or a pidfd of a thread alone, is refused") {
  Socket socket;
  Opener opener(socket, kAllClasses);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const UniqueFd directory(
      open(("/proc/" + std::to_string(target.pid())).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const int fd : {null.get(), directory.get(), alice.accepted.get()}) {
    const int fds[] = {alice.accepted.get(), fd};
    STATUS(opener.ask(request_for(target), fds), kBadTarget);
  }
}

ROOT_TEST("a target that has ended is distinguished from one that changed") {
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
