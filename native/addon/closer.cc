#include "addon/closer.h"

#include <sys/socket.h>

#include <chrono>
#include <system_error>
#include <thread>

namespace perfbroker::addon {
namespace {

// Most threads that may hang in a close at a time; what comes after them waits.
constexpr size_t kMaxThreads = 32;
constexpr std::chrono::seconds kIdle{1};

void close_at_once(UniqueFd fd) {
  const linger none{0, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);  // ENOTSOCK, mostly
}

}  // namespace

Closer& Closer::instance() {
  static Closer& closer = *new Closer;
  return closer;
}

void Closer::add(UniqueFd fd) {
  const std::lock_guard lock(mutex_);
  fds_.push_back(std::move(fd));
  if (idle_ >= fds_.size() || threads_ == kMaxThreads) return work_.notify_one();
  try {
    std::thread([this] { run(); }).detach();
    threads_++;
  } catch (const std::system_error&) {
    // No thread to be had: the fds wait for one that is there, or for the next call.
  }
}

size_t Closer::pending() {
  const std::lock_guard lock(mutex_);
  return fds_.size() + closing_;
}

void Closer::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    idle_++;
    const bool found = work_.wait_for(lock, kIdle, [this] { return !fds_.empty(); });
    idle_--;
    if (!found) break;
    UniqueFd fd = std::move(fds_.front());
    fds_.pop_front();
    closing_++;
    lock.unlock();
    close_at_once(std::move(fd));
    lock.lock();
    closing_--;
  }
  threads_--;
}

}  // namespace perfbroker::addon
