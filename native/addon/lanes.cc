#include "addon/lanes.h"

#include <pthread.h>

#include <chrono>
#include <utility>

namespace perfbroker::addon {
namespace {

// A user occupies one thread at most, so the users beyond this many wait only when as many others hang at the same time. Uids that one
// user may have many of are one user (SubordinateUids.userOf), so each of these is an account of its own.
// TasksMax= of the unit leaves room for them.
constexpr size_t kMaxThreads = 256;
// An operation needs a few frames and one of libc's; its buffers are on the heap. 256 threads reserve 32 MiB of address space.
constexpr size_t kStackBytes = 128 << 10;
constexpr std::chrono::seconds kIdle{1};

}  // namespace

Lanes& Lanes::instance() {
  static Lanes& lanes = *new Lanes;
  return lanes;
}

void Lanes::add(int64_t user, Operation operation) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[user];
  lane.foreign += operation.foreign;
  lane.waiting.push_back(std::move(operation));
  pending_++;
  if (!lane.running && lane.waiting.size() == 1) turns_.push_back(user);
  // Also when this user's turn comes later: an earlier call may have found no thread for another user.
  if (turns_.size() > idle_ && threads_ < kMaxThreads) start_thread();
  work_.notify_one();
}

// When there is none to be had, the operations wait for a thread that is there, or for the next call.
void Lanes::start_thread() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, run_thread, this) == 0) threads_++;
  pthread_attr_destroy(&attributes);
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

void Lanes::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    idle_++;
    const bool found = work_.wait_for(lock, kIdle, [this] { return !turns_.empty(); });
    idle_--;
    if (!found) break;
    const int64_t user = turns_.front();
    turns_.pop_front();
    Lane& lane = lanes_.at(user);  // stays where it is: it is erased below, by the thread that runs it
    Operation operation = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    lane.running = true;
    lock.unlock();
    std::exchange(operation.run, nullptr)();
    lock.lock();
    lane.running = false;
    lane.foreign -= operation.foreign;
    pending_--;
    if (lane.waiting.empty()) {
      lanes_.erase(user);
    } else {
      turns_.push_back(user);
    }
    if (operation.done) operation.done();
  }
  threads_--;
}

}  // namespace perfbroker::addon
