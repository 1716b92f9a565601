// Threads that differ from their process, and threads of another process.
#include <atomic>
#include <thread>

#include "test/processes.h"

using namespace harness;
using namespace perfbroker::protocol;

namespace {

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

ROOT_TEST(
    "a thread with ids or capabilities of its own is refused though its process is as expected") {
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
  // capset acts on the calling thread: the other one keeps its capabilities.
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
  const UniqueFd pidfd(
      static_cast<int>(syscall(SYS_pidfd_open, request.slots[0].tid, pidfd_thread)));
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

ROOT_TEST(
    "a thread that has ended gives ESRCH to its slots, group members included, and the others are "
    "opened") {
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
