// Waiting on many perf event fds, each of which writes to one ring. Free of Node-API.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "addon/result.h"
#include "core/unique_fd.h"

namespace perfbroker::addon {

class EventSet {
 public:
  static Result<EventSet> create();

  // Room for one more ring, without events. Returns its index.
  size_t add_ring();
  // `fd` is not owned and must stay open. Its ring must be mapped (or redirected) before: an event
  // without a ring reports a hang-up for ever.
  std::optional<Error> add_event(int fd, size_t ring);
  // An fd that only wakes wait(), level-triggered.
  std::optional<Error> add_wake(int fd);
  // Waits up to `timeout` ms (-1: no limit) and takes the events whose task has ended off the set.
  // The ring with data is not named: one wake-up may stand for several, so the reader looks at all
  // of them.
  std::optional<Error> wait(int timeout);

  size_t live_events(size_t ring) const { return live_[ring]; }
  size_t live_rings() const;
  // The epoll fd: readable when wait() has something to report.
  int fd() const { return epoll_.get(); }

 private:
  struct Event {
    int fd;
    size_t ring;
    bool live;
  };
  UniqueFd epoll_;
  std::vector<Event> events_;
  std::vector<size_t> live_;  // live events by ring
};

}  // namespace perfbroker::addon
