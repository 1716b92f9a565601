#include "addon/event_set.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace perfbroker::addon {
namespace {

constexpr uint64_t kWake = ~uint64_t{0};

}  // namespace

Result<EventSet> EventSet::create() {
  EventSet set;
  set.epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!set.epoll_) return last_error("epoll_create1");
  return set;
}

size_t EventSet::add_ring() {
  live_.push_back(0);
  return live_.size() - 1;
}

std::optional<Error> EventSet::add_event(int fd, size_t ring) {
  // Edge-triggered: perf_poll() reads and clears the ring's flag, so that asking twice, as
  // level-triggered epoll does after every report, costs time and gives no information. Every event
  // of a ring has to listen for data, because the flag is the ring's and the first event that
  // is asked clears it.
  epoll_event entry{EPOLLIN | EPOLLET, {.u64 = events_.size()}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &entry) != 0) return last_error("epoll_ctl");
  events_.push_back({fd, ring, true});
  live_[ring]++;
  return std::nullopt;
}

std::optional<Error> EventSet::add_wake(int fd) {
  epoll_event entry{EPOLLIN, {.u64 = kWake}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &entry) != 0) return last_error("epoll_ctl");
  return std::nullopt;
}

std::optional<Error> EventSet::wait(int timeout) {
  std::array<epoll_event, 64> ready;
  int count = epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), timeout);
  if (count < 0) {
    if (errno == EINTR) return std::nullopt;
    return last_error("epoll_wait");
  }
  for (size_t i = 0; i < static_cast<size_t>(count); i++) {
    if (ready[i].data.u64 == kWake || (ready[i].events & (EPOLLHUP | EPOLLERR)) == 0) continue;
    Event& event = events_[ready[i].data.u64];
    if (!event.live) continue;
    event.live = false;
    live_[event.ring]--;
    // A failure means that the fd is closed already, against the rule: then it is not in the set
    // either.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, event.fd, nullptr);
  }
  return std::nullopt;
}

size_t EventSet::live_rings() const {
  return static_cast<size_t>(
      std::count_if(live_.begin(), live_.end(), [](size_t events) { return events > 0; }));
}

}  // namespace perfbroker::addon
