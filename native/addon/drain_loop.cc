#include "addon/drain_loop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <span>
#include <system_error>

namespace perfbroker::addon {
namespace {

// perf's own record, known to perf report and perf script (tools/lib/perf/include/perf/event.h):
// all that was recorded up to the round before may be sorted and delivered.
constexpr perf_event_header kFinishedRound{68, 0, sizeof(perf_event_header)};

// Records leave in writes of about this size: big enough that the system call does not matter,
// small enough that a ring which was read early in the pass gets its room back soon.
constexpr size_t kFlushBytes = 256 * 1024;

// Data of a quiet event, below the watermark, also goes out after this time: a recording that is
// killed holds what was before, and a watching user sees it grow. Looking at rings that are empty
// costs some microseconds.
constexpr int kLongestWaitMs = 1000;

void add(std::atomic<uint64_t>& counter, uint64_t amount) {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

// Records of several rings on their way to one writev(2).
class DrainLoop::Batch {
 public:
  explicit Batch(DrainLoop& loop) : loop_(loop) {}

  bool full() const { return bytes_ >= kFlushBytes || ring_count_ == rings_.size(); }

  void append(EventRing& ring, const RingBytes& bytes, const RecordCounts& counts) {
    rings_[ring_count_++] = {&ring, bytes.size()};
    append(bytes.first);
    append(bytes.second);
    bytes_ += bytes.size();
    counts_ += counts;
  }
  void append_round() {
    append({reinterpret_cast<const uint8_t*>(&kFinishedRound), sizeof kFinishedRound});
  }

  // Writes everything, and only then gives the rings their room back.
  std::optional<Error> flush() {
    uint64_t written = 0;
    std::optional<Error> error = loop_.output_.write_all(
        std::span(vectors_).first(vector_count_), loop_.abort_, loop_.wake_.get(), written);
    add(loop_.bytes_, written);
    if (error) return error;
    for (size_t i = 0; i < ring_count_; i++) rings_[i].ring->release(rings_[i].bytes);
    add(loop_.records_, counts_.records);
    add(loop_.samples_, counts_.samples);
    add(loop_.lost_, counts_.lost);
    add(loop_.throttled_, counts_.throttled);
    vector_count_ = ring_count_ = bytes_ = 0;
    counts_ = {};
    return std::nullopt;
  }

 private:
  void append(std::span<const uint8_t> bytes) {
    if (!bytes.empty())
      vectors_[vector_count_++] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  }

  struct Part {
    EventRing* ring;
    size_t bytes;
  };
  static constexpr size_t kMaxRings = 64;
  DrainLoop& loop_;
  std::array<Part, kMaxRings> rings_;
  std::array<iovec, 2 * kMaxRings + 1> vectors_;  // two for each ring, one for the round
  size_t ring_count_ = 0, vector_count_ = 0, bytes_ = 0;
  RecordCounts counts_;
};

Result<std::unique_ptr<DrainLoop>> DrainLoop::create(int output) {
  std::unique_ptr<DrainLoop> loop(new DrainLoop);
  Result<OutputFile> file = OutputFile::duplicate(output);
  if (!file) return file.error();
  loop->output_ = std::move(*file);
  Result<EventSet> events = EventSet::create();
  if (!events) return events.error();
  loop->events_ = std::move(*events);
  loop->wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_) return last_error("eventfd");
  if (std::optional<Error> error = loop->events_.add_wake(loop->wake_.get())) return *error;
  return loop;
}

DrainLoop::~DrainLoop() { abort(); }

Result<size_t> DrainLoop::add_ring(int fd, size_t pages) {
  Result<EventRing> ring = EventRing::map(fd, pages);
  if (!ring) return ring.error();
  const size_t index = events_.add_ring();
  rings_.push_back(std::move(*ring));
  ended_.push_back(false);
  if (std::optional<Error> error = events_.add_event(fd, index)) return *error;
  live_rings_ = events_.live_rings();
  return index;
}

std::optional<Error> DrainLoop::add_event(int fd, size_t ring) {
  if (std::optional<Error> error = redirect_event(fd, rings_[ring])) return error;
  std::optional<Error> error = events_.add_event(fd, ring);
  live_rings_ = events_.live_rings();
  return error;
}

std::optional<Error> DrainLoop::start(std::function<void()> on_end) {
  // No handler of the process may run on this thread, and SIGPIPE and SIGXFSZ are to be errors of
  // write(2). A new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  if (const int number = pthread_sigmask(SIG_SETMASK, &all, &before); number != 0)
    return Error{number, "sigprocmask"};
  std::optional<Error> error;
  try {
    thread_ = std::thread([this, done = std::move(on_end)] {
      run();
      done();
    });
    pthread_setname_np(thread_.native_handle(), "perf-drain");
  } catch (const std::system_error& failure) {
    error = Error{failure.code().value(), "clone"};
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

void DrainLoop::wake() {
  const uint64_t one = 1;
  // Can only fail because the counter is full, and then the loop wakes up anyway.
  [[maybe_unused]] ssize_t written = write(wake_.get(), &one, sizeof one);
}

void DrainLoop::stop() {
  stop_ = true;
  wake();
}

void DrainLoop::abort() {
  if (!thread_.joinable()) return;
  abort_ = true;
  wake();
  thread_.join();
}

void DrainLoop::join() {
  if (thread_.joinable()) thread_.join();
}

void DrainLoop::run() {
  for (;;) {
    const bool last = stop_.load();
    // Also before the first wait: adding an event to epoll has taken note of what its ring held,
    // and no caller was notified.
    if ((error_ = pass())) break;
    if (last || events_.live_rings() == 0) break;
    // A stop() while the pass waited for the output has had its wake-up taken by that wait.
    if (stop_.load()) continue;
    if ((error_ = events_.wait(kLongestWaitMs))) break;
    add(wakeups_, 1);
    if (abort_.load()) break;
  }
  if (abort_.load()) error_.reset();
}

std::optional<Error> DrainLoop::pass() {
  Batch batch(*this);
  bool moved = false;
  for (size_t i = 0; i < rings_.size(); i++) {
    if (ended_[i]) continue;
    // As it was before the ring is read: what an event wrote before it ended is then certainly
    // read.
    const bool ended = events_.live_events(i) == 0;
    Result<RingBytes> unread = rings_[i].unread();
    if (!unread) return unread.error();
    if (unread->size() > 0) {
      RecordCounts counts;
      Result<size_t> bytes = count_records(*unread, unread->size(), counts);
      if (!bytes) return bytes.error();
      if (batch.full()) {
        if (std::optional<Error> error = batch.flush()) return error;
      }
      batch.append(rings_[i], *unread, counts);
      moved = true;
    }
    ended_[i] = ended;
  }
  live_rings_.store(events_.live_rings(), std::memory_order_relaxed);
  if (!moved) return std::nullopt;
  batch.append_round();
  return batch.flush();
}

DrainLoop::Stats DrainLoop::stats() const {
  return {bytes_, wakeups_, {records_, samples_, lost_, throttled_}, live_rings_};
}

}  // namespace perfbroker::addon
