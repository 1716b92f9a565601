// The drain: one thread that moves records from many rings to one file. Free of Node-API.
//
// It sleeps in epoll until the kernel reports that a ring has reached its watermark (or a task has
// ended), a second at most, and then makes one pass over all rings, as perf record does: what it
// finds in each goes out, followed by a PERF_RECORD_FINISHED_ROUND. That every pass covers every
// ring once is what the round promises to the code that sorts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "addon/event_ring.h"
#include "addon/event_set.h"
#include "addon/output_file.h"
#include "addon/records.h"
#include "addon/result.h"
#include "core/unique_fd.h"

namespace perfbroker::addon {

class DrainLoop {
 public:
  struct Stats {
    uint64_t bytes, wakeups;
    RecordCounts counts;
    size_t live_rings;
  };

  static Result<std::unique_ptr<DrainLoop>> create(int output);
  // Aborts.
  ~DrainLoop();

  // Before start() only. The fds are not owned and must stay open until the loop has ended.
  Result<size_t> add_ring(int fd, size_t pages);
  std::optional<Error> add_event(int fd, size_t ring);
  size_t ring_count() const { return rings_.size(); }

  // `on_end` is called once, on the loop's thread, as the last thing it does.
  std::optional<Error> start(std::function<void()> on_end);
  // Asks for a last pass and the end. Does not wait.
  void stop();
  // Ends it without another pass, even when no process reads the output, and waits for the thread.
  void abort();
  // Waits for the thread; to be called after on_end.
  void join();
  // Reason for an end that was neither stop() nor the end of every event. After join() only.
  const std::optional<Error>& error() const { return error_; }

  // Any time, from any thread.
  Stats stats() const;

 private:
  class Batch;
  DrainLoop() = default;
  void run();
  std::optional<Error> pass();
  void wake();

  std::vector<EventRing> rings_;
  std::vector<bool> ended_;  // by ring: drained after its last event had ended
  EventSet events_;
  OutputFile output_;
  UniqueFd wake_;  // eventfd
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> abort_ = false;
  std::optional<Error> error_;

  // Written by the thread alone.
  std::atomic<uint64_t> bytes_ = 0, records_ = 0, samples_ = 0, lost_ = 0, throttled_ = 0,
                        wakeups_ = 0;
  std::atomic<size_t> live_rings_ = 0;
};

}  // namespace perfbroker::addon
