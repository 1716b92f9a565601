// Results of requests: events, groups, rings, and the refusal of a malformed request.
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "test/processes.h"

using namespace harness;
using namespace perfbroker::protocol;

namespace {

// One software event in user mode on cpu 0.
Request cpu_request(TargetKind kind) {
  Request request{};
  request.version = kVersion;
  request.type = RequestType::kOpen;
  request.serial = 1;
  request.target = kind;
  request.event_count = request.slot_count = 1;
  request.events[0].type = PERF_TYPE_SOFTWARE;
  request.events[0].flags = kExcludeKernel;
  request.slots[0] = {-1, 0, 0, kNoLeader};
  return request;
}

Request release_request(uint32_t serial) {
  Request request{};
  request.version = kVersion;
  request.type = RequestType::kRelease;
  request.serial = serial;
  return request;
}

}  // namespace

ROOT_TEST(
    "an event on the client's own process is opened, disabled and close-on-exec, and counts when "
    "enabled") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice, [](char) {
    for (int i = 0; i < 10'000'000; i++) asm volatile("");
  });
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

ROOT_TEST("a refusal by the kernel is reported with its errno and slot, and no fd is handed over") {
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
  for (uint32_t i = 0; i < kMaxSlots; i++)
    request.slots[i] = {target.pid(), -1, static_cast<uint16_t>(i % 2), kNoLeader};
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

ROOT_TEST(
    "a ring mapped in advance lets a client without memlock map it, and is unmapped by its "
    "release") {
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
    void* second =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[1].get(), 0);
    _exit(first == MAP_FAILED ? 1 : second != MAP_FAILED || errno != EPERM ? 2 : 0);
  });
  EQUAL(client.wait(), 0);
  Request release = release_request(76);
  const auto release_and_check = [&] {
    CHECK(bool(send_message(answer.channel.get(), &release, sizeof release, {}, 0)));
    auto released = Opener::receive_reply(std::move(answer.channel));
    STATUS(released, kReleased);
    EQUAL(released.reply.serial, release.serial);
    answer.channel = std::move(released.channel);
  };
  release_and_check();
  EQUAL(opener.ring_bytes(), length);
  release.serial = 77;
  release_and_check();
  EQUAL(opener.ring_bytes(), 0);
}

// Events that a process has fds of.
static size_t count_events(pid_t pid) {
  size_t count = 0;
  for (int fd = 0; fd < 64; fd++) {
    char name[32] = {};
    const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
    if (readlink(path.c_str(), name, sizeof name - 1) > 0 &&
        strcmp(name, "anon_inode:[perf_event]") == 0)
      count++;
  }
  return count;
}

// The broker relies on it: it lets another user's session have the worker then.
ROOT_TEST("a worker has closed the fds of its last request when it has answered the next one") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto answer = opener.ask(request_for(target), fds);
  STATUS(answer, kOpened);
  const auto events = [&] {
    size_t sum = 0;
    for (const pid_t worker : opener.workers()) sum += count_events(worker);
    return sum;
  };
  EQUAL(events(), 1);
  const Request release = release_request(76);
  CHECK(bool(send_message(answer.channel.get(), &release, sizeof release, {}, 0)));
  auto released = Opener::receive_reply(std::move(answer.channel));
  STATUS(released, kReleased);
  EQUAL(events(), 0);
  // It serves another client's target on the same channel.
  Connection bob(socket, kBob);
  Target other(kBob);
  const int others[] = {bob.accepted.get(), other.pidfd()};
  const Request request = request_for(other);
  CHECK(bool(send_message(released.channel.get(), &request, sizeof request, others, 0)));
  auto second = Opener::receive_reply(std::move(released.channel));
  STATUS(second, kOpened);
}

ROOT_TEST("rings are unmapped when their channel is closed, and come back to all") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice);
  Request request = request_for(target);
  request.events[0].sample_period = 1'000'000;
  request.ring_pages = 32768;  // 128 MiB, and the control page: no two of them fit
  request.premap[0] = 1;
  const int fds[] = {alice.accepted.get(), target.pidfd()};
  auto first = opener.ask(request, fds);
  STATUS(first, kOpened);
  request.ring_pages = 1;
  auto small = opener.ask(request, fds);
  STATUS(small, kOpened);
  request.ring_pages = 32768;
  auto none = opener.ask(request, fds);
  STATUS(none, kMapFailed);
  EQUAL(none.reply.detail, ENOSPC);
  for (auto* answer : {&first, &small, &none}) answer->channel.reset();
  opener.await_workers(2);
  EQUAL(opener.ring_bytes(), 0);
  STATUS(opener.ask(request, fds), kOpened);
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
  for (uint32_t i = 0; i < 3; i++) {
    request.slots[i] = request.slots[0];
    request.premap[i] = 1;
  }
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
  Request request = cpu_request(TargetKind::kSystem);
  const int fds[] = {alice.accepted.get()};
  STATUS(opener.ask(request, fds), kOpened);
  request.slots[0].cpu = 60'000;
  STATUS(opener.ask(request, fds), kOpenFailed);
}

ROOT_TEST(
    "a plain directory, a file and a pidfd are not a cgroup, and a real one reaches the kernel") {
  Socket socket;
  Opener opener(socket, kUser | kSystemWide);
  Connection alice(socket, kAlice);
  const Request request = cpu_request(TargetKind::kCgroup);
  const UniqueFd directory(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const int fd : {directory.get(), null.get(), alice.client.pidfd(), socket.fd.get()}) {
    const int fds[] = {alice.accepted.get(), fd};
    STATUS(opener.ask(request, fds), kBadTarget);
  }
  for (const char* path :
      {"/sys/fs/cgroup/perf_event", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    const UniqueFd cgroup(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct statfs fs;
    if (!cgroup || fstatfs(cgroup.get(), &fs) != 0 ||
        (fs.f_type != 0x63677270 && fs.f_type != 0x27e0eb))
      continue;
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

ROOT_TEST("300 requests, of which every third fails, leave no fd and no worker behind") {
  Socket socket;
  Opener opener(socket, kUser);
  Connection alice(socket, kAlice);
  Target target(kAlice), foreign(kBob);
  const int mine[] = {alice.accepted.get(), target.pidfd()},
            theirs[] = {alice.accepted.get(), foreign.pidfd()};
  Request request = request_for(target);
  request.slot_count = 3;
  request.slots[1] = request.slots[2] = request.slots[0];
  request.events[0].sample_period = 1'000'000;
  const Request refused = request_for(foreign);
  opener.ask(request, mine);
  const size_t before = opener.count_fds();
  for (int i = 0; i < 300; i++) {
    auto answer = i % 3 == 0 ? opener.ask(refused, theirs) : opener.ask(request, mine);
    EQUAL(answer.reply.status, i % 3 == 0 ? Status::kNotSameUser : Status::kOpened);
  }
  EQUAL(opener.count_fds(), before);
  opener.await_workers(2);
}

ROOT_TEST("the opener ends with 0 when its broker has closed") {
  Socket socket;
  Opener opener(socket, kUser);
  shutdown(opener.socket(), SHUT_RDWR);
  EQUAL(opener.wait(), 0);
}

ROOT_TEST("a malformed request of every kind ends the opener with its own code") {
  Socket socket;
  Connection alice(socket, kAlice);
  Target target(kAlice);
  const int fds[] = {alice.accepted.get(), target.pidfd(), target.pidfd()};
  const Request good = request_for(target);
  const int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto ends = [&](const void* data, size_t size, size_t count) {
    Opener opener(socket, kUser, {}, [&] { dup2(quiet, STDERR_FILENO); });
    const UniqueFd channel = opener.begin();
    CHECK(bool(send_message(channel.get(), data, size, std::span(fds, count), 0)));
    EQUAL(opener.wait(), static_cast<int>(WorkerExit::kMalformed));
  };
  std::vector<unsigned char> longer(sizeof good + 1);
  memcpy(longer.data(), &good, sizeof good);
  ends(longer.data(), longer.size(), 2);  // one byte too long
  ends(&good, sizeof good - 1, 2);        // and too short
  ends(&good, 1, 2);
  for (const size_t count : {0u, 1u, 3u}) ends(&good, sizeof good, count);
  Request bad = good;
  bad.version++;
  ends(&bad, sizeof bad, 2);
  bad = good;
  bad.slot_count = ~0u;
  ends(&bad, sizeof bad, 2);
}

ROOT_TEST("a packet that is not a channel ends the opener with its own code") {
  Socket socket;
  const int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC), fds[] = {quiet, quiet};
  for (const auto& [size, count] : {std::pair<size_t, size_t>{1, 0}, {1, 2}, {2, 1}}) {
    Opener opener(socket, kUser, {}, [&] { dup2(quiet, STDERR_FILENO); });
    CHECK(bool(send_message(opener.socket(), "cc", size, std::span(fds, count), 0)));
    EQUAL(opener.wait(), static_cast<int>(WorkerExit::kMalformed));
  }
}
