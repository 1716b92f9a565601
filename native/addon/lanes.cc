#include "addon/lanes.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "addon/unread_socket.h"

namespace perfbroker::addon {
namespace {

// A user occupies one thread at most, so the users beyond this many wait only when as many others
// hang at the same time. Uids that one user may have many of are one user (SubordinateUids.userOf),
// so each of these is an account of its own. TasksMax= of the unit leaves room for them.
constexpr size_t kMaxThreads = 256;
// An operation needs a few frames and one of libc's; its buffers are on the heap. 256 threads
// reserve 32 MiB of address space.
constexpr size_t kStackBytes = 128 << 10;
constexpr std::chrono::seconds kIdle{1};
// Sockets of a user that wait before they are closed together, for each thread that hangs over some
// of them already: 256, 512, 768, ... up to 8,192 where RLIMIT_NOFILE is 65,536 or more. So 64
// threads hold 397,312 sockets. For comparison: systemd lets a user have 524,288 fds in flight
// (unix_inflight in net/unix/scm.c counts them against RLIMIT_NOFILE). TasksMax= of the unit has
// room for these threads.
constexpr size_t kFewSockets = 256, kMaxClosers = 64;
// One attempt to close them is made for each 64 sockets.
constexpr size_t kFewestSockets = 64;

// Returns false when no thread can be started.
bool start(void* (*body)(void*), void* argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, body, argument) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

void perform(Operation& operation) {
  if (operation.socket) {
    // A socket that is closed over unread messages would show its peer an error in place of the
    // end.
    drop_messages(operation.socket.get());
    operation.socket.reset();
  } else {
    std::exchange(operation.run, nullptr)();
  }
}

}  // namespace

struct Lanes::Closer {
  Lanes& lanes;
  int64_t user;
  std::vector<UniqueFd> sockets = {};
};

Lanes& Lanes::instance() {
  static Lanes& lanes = *new Lanes;
  return lanes;
}

void Lanes::add(int64_t user, Operation operation) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[user];
  lane.foreign += operation.foreign;
  lane.sockets += operation.socket ? 1U : 0U;
  lane.waiting.push_back(std::move(operation));
  pending_++;
  if (are_too_many(lane)) close_sockets(user, lane);
  if (!std::exchange(lane.scheduled, true)) turns_.push_back(user);
  // Also when this user's turn comes later: an earlier call may have found no thread for another
  // user.
  if (turns_.size() > idle_ && threads_ < kMaxThreads) start_thread();
  work_.notify_one();
}

// Not asked of every socket, nor of other operations, which are most: it takes a system call, and
// an attempt looks at all that wait.
bool Lanes::are_too_many(const Lane& lane) {
  if (lane.sockets == 0 || lane.sockets % kFewestSockets != 0) return false;
  return lane.sockets >= std::min(kFewSockets * (lane.closers + 1), most_together());
}

// When no thread can be started, the operations wait for a thread that is there, or for the next
// call.
void Lanes::start_thread() {
  if (start(run_thread, this)) threads_++;
}

// When no thread can be started, the sockets wait for their turn in the lane, or for the next call.
void Lanes::close_sockets(int64_t user, Lane& lane) {
  if (closers_ >= kMaxClosers) return;
  auto closer = std::make_unique<Closer>(*this, user);
  std::deque<Operation> others;
  for (Operation& operation : lane.waiting) {
    if (operation.socket) {
      closer->sockets.push_back(std::move(operation.socket));
    } else {
      others.push_back(std::move(operation));
    }
  }
  if (start(run_closer, closer.get())) {
    closer.release();
    lane.sockets = 0;
    lane.closers++;
    closers_++;
  } else {
    for (UniqueFd& socket : closer->sockets)
      others.push_back({nullptr, nullptr, 1, std::move(socket)});
  }
  lane.waiting = std::move(others);
}

size_t Lanes::pending() {
  const std::lock_guard lock(mutex_);
  return pending_;
}

size_t Lanes::foreign(int64_t user) {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(user);
  return found == lanes_.end() ? 0 : found->second.foreign;
}

void* Lanes::run_thread(void* lanes) {
  pthread_setname_np(pthread_self(), "perf-lane");
  static_cast<Lanes*>(lanes)->run();
  return nullptr;
}

void* Lanes::run_closer(void* closer) {
  pthread_setname_np(pthread_self(), "perf-closer");
  const std::unique_ptr<Closer> self(static_cast<Closer*>(closer));
  const size_t count = self->sockets.size();
  close_together(std::move(self->sockets));
  Lanes& lanes = self->lanes;
  const std::lock_guard lock(lanes.mutex_);
  Lane& lane = lanes.lanes_.at(self->user);
  lane.foreign -= count;
  lane.closers--;
  lanes.closers_--;
  lanes.pending_ -= count;
  lanes.drop_if_idle(self->user);
  return nullptr;
}

void Lanes::drop_if_idle(int64_t user) {
  const Lane& lane = lanes_.at(user);
  if (!lane.scheduled && lane.closers == 0) lanes_.erase(user);
}

void Lanes::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    idle_++;
    const bool found = work_.wait_for(lock, kIdle, [this] { return !turns_.empty(); });
    idle_--;
    if (!found) break;
    const int64_t user = turns_.front();
    turns_.pop_front();
    Lane& lane = lanes_.at(user);  // stays where it is while it is scheduled
    if (!lane.waiting.empty()) {
      Operation operation = std::move(lane.waiting.front());
      lane.waiting.pop_front();
      lane.sockets -= operation.socket ? 1U : 0U;
      lock.unlock();
      perform(operation);
      lock.lock();
      lane.foreign -= operation.foreign;
      pending_--;
      if (operation.done) operation.done();
    }
    if (lane.waiting.empty()) {
      lane.scheduled = false;
      drop_if_idle(user);
    } else {
      turns_.push_back(user);
    }
  }
  threads_--;
}

}  // namespace perfbroker::addon
