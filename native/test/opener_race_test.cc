// Everything that changes under the opener's hands, before the request and while the kernel opens
// the event.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

#include <optional>

#include "test/processes.h"

using namespace harness;
using namespace perfbroker::protocol;

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
  EQUAL(answer.reply.detail & ~kMismatchDumpable,
      kMismatchUid | kMismatchGid | kMismatchCapabilities);
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
  for (ssize_t got; (got = read(sleep.get(), block, sizeof block)) > 0;)
    CHECK(write(copy.get(), block, size_t(got)) == got);
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

// Holds the opener inside of perf_event_open with a seccomp notification until the test has changed
// the world.
class HeldOpener {
 public:
  HeldOpener(const Socket& socket, uint32_t ceiling) : pair_{-1, -1} {
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair_) == 0);
    opener.emplace(socket, ceiling, std::vector<uint32_t>{}, [this] {
      sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
      const sock_fprog program{4, code};
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      const int fd = static_cast<int>(syscall(
          SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
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
    const seccomp_notif call = await_call();
    meanwhile();
    let_go(call);
  }
  seccomp_notif await_call() {
    seccomp_notif call{};
    CHECK(ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) == 0);
    EQUAL(call.data.nr, SYS_perf_event_open);
    return call;
  }
  void let_go(const seccomp_notif& call) {
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
  UniqueFd channel = held.opener->send_request(request_for(target), fds);
  held.hold([&] { target.command('u'); });
  auto answer = Opener::receive_reply(std::move(channel));
  STATUS(answer, kTargetChanged);
  CHECK(
      (answer.reply.detail & (kMismatchUid | kMismatchThread)) == (kMismatchUid | kMismatchThread));
  EQUAL(answer.fds.size(), 0);
  EQUAL(held.opener->count_fds(), before);
}

ROOT_TEST("a target that stops being dumpable while the event is being opened loses it") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) { prctl(PR_SET_DUMPABLE, 0); });
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  UniqueFd channel = held.opener->send_request(request_for(target), fds);
  held.hold([&] { target.command('d'); });
  auto answer = Opener::receive_reply(std::move(channel));
  STATUS(answer, kTargetChanged);
  EQUAL(answer.reply.detail, kMismatchDumpable);
}

ROOT_TEST("a client that stops being dumpable while the event is being opened gets no fd") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice, [](char) { prctl(PR_SET_DUMPABLE, 0); });
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  UniqueFd channel = held.opener->send_request(request_for(target), fds);
  held.hold([&] {
    alice.client.say('d');
    EQUAL(alice.client.hear(), 'd');
  });
  auto answer = Opener::receive_reply(std::move(channel));
  STATUS(answer, kNotSameUser);
  EQUAL(answer.reply.detail, kMismatchUserNamespace);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST("a target that ends while the event is being opened gives no fd") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const UniqueFd pidfd(fcntl(target.pidfd(), F_DUPFD_CLOEXEC, 0));
  const int fds[] = {alice.accepted.get(), pidfd.get()};
  UniqueFd channel = held.opener->send_request(request_for(target), fds);
  held.hold([&] { target.end(); });
  auto answer = Opener::receive_reply(std::move(channel));
  CHECK(answer.reply.status == Status::kTargetGone || answer.reply.status == Status::kOpenFailed);
  EQUAL(answer.fds.size(), 0);
}

ROOT_TEST(
    "a request that the kernel keeps waiting holds up no other one, and is answered when it goes "
    "on") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice), bob(socket, kBob);
  Target hers(kAlice), his(kBob);
  const int of_alice[] = {alice.accepted.get(), hers.pidfd()},
            of_bob[] = {bob.accepted.get(), his.pidfd()};
  UniqueFd late = held.opener->send_request(request_for(hers), of_alice);
  const seccomp_notif call = held.await_call();
  UniqueFd channel = held.opener->send_request(request_for(his), of_bob);
  held.hold([] {});
  STATUS(Opener::receive_reply(std::move(channel)), kOpened);
  EQUAL(held.opener->ping(), Status::kReleased);
  held.let_go(call);
  STATUS(Opener::receive_reply(std::move(late)), kOpened);
}

ROOT_TEST("a worker that is killed costs its own request alone") {
  Socket socket;
  HeldOpener held(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  const UniqueFd lost = held.opener->send_request(request_for(target), fds);
  const seccomp_notif call = held.await_call();
  CHECK(kill(static_cast<pid_t>(call.pid), SIGKILL) == 0);
  char byte;
  EQUAL(read(lost.get(), &byte, 1), 0);
  UniqueFd channel = held.opener->send_request(request_for(target), fds);
  held.hold([] {});
  STATUS(Opener::receive_reply(std::move(channel)), kOpened);
}

ROOT_TEST("a worker that makes a call which its filter does not know ends the opener") {
  Socket socket;
  Opener opener(socket, kUser);
  EQUAL(opener.ping(), Status::kReleased);
  // Any of them served the ping, and may exit before a signal arrives. All others wait for a
  // channel.
  std::vector<pid_t> workers;
  for (; workers.size() < 2; workers = opener.workers()) usleep(2000);
  for (const pid_t worker : workers) kill(worker, SIGSYS);  // as the filter does
  EQUAL(opener.wait(), static_cast<int>(WorkerExit::kMalformed));
}
