#include "addon/records.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "addon/output_file.h"
#include "test/harness.h"

using namespace perfbroker;
using namespace perfbroker::addon;

namespace {

struct Stream {
  std::vector<uint64_t> words;

  void record(uint32_t type, uint16_t size, std::vector<uint64_t> body = {}) {
    const perf_event_header header{type, 0, size};
    uint64_t word;
    memcpy(&word, &header, sizeof word);
    words.push_back(word);
    words.insert(words.end(), body.begin(), body.end());
  }
  // The same bytes as a ring shows them when it wraps after `first` words.
  RingBytes wrapped(size_t first) const {
    const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
    return {{bytes, first * 8}, {bytes + first * 8, (words.size() - first) * 8}};
  }
};

Stream mixed() {
  Stream stream;
  stream.record(PERF_RECORD_SAMPLE, 16, {1});
  stream.record(PERF_RECORD_LOST, 24, {7, 1000});
  stream.record(PERF_RECORD_LOST_SAMPLES, 16, {30});
  stream.record(PERF_RECORD_THROTTLE, 32, {1, 2, 3});
  stream.record(PERF_RECORD_SAMPLE, 8);
  return stream;
}

}  // namespace

TEST("records are counted wherever the ring wraps") {
  const Stream stream = mixed();
  for (size_t first = 0; first <= stream.words.size(); first++) {
    const RingBytes bytes = stream.wrapped(first);
    RecordCounts counts;
    Result<size_t> taken = count_records(bytes, bytes.size(), counts);
    CHECK(bool(taken));
    EQUAL(*taken, bytes.size());
    EQUAL(counts.records, 5);
    EQUAL(counts.samples, 2);
    EQUAL(counts.lost, 1030);
    EQUAL(counts.throttled, 1);
    std::vector<uint64_t> copy(stream.words.size());
    bytes.copy_to(reinterpret_cast<uint8_t*>(copy.data()), bytes.size());
    CHECK(copy == stream.words);
  }
}

TEST("a limit cuts between records, never within one") {
  const Stream stream = mixed();
  const RingBytes bytes = stream.wrapped(3);
  const size_t ends[] = {0, 16, 40, 56, 88, 96};
  for (size_t limit = 0; limit <= bytes.size(); limit++) {
    size_t expected = 0;
    for (const size_t end : ends) {
      if (end <= limit) expected = end;
    }
    RecordCounts counts;
    Result<size_t> taken = count_records(bytes, limit, counts);
    CHECK(bool(taken));
    EQUAL(*taken, expected);
  }
}

TEST("a size that cannot be true is EBADMSG, and nothing beyond the bytes is read") {
  for (const uint16_t size :
      {uint16_t{0}, uint16_t{4}, uint16_t{12}, uint16_t{24}, uint16_t{65528}, uint16_t{65535}}) {
    Stream stream;
    stream.record(PERF_RECORD_SAMPLE, 8);
    stream.record(PERF_RECORD_LOST, size, {5});
    RecordCounts counts;
    Result<size_t> taken = count_records(stream.wrapped(1), 24, counts);
    CHECK(!taken);
    EQUAL(taken.error().number, EBADMSG);
  }
}

TEST("a LOST record too short for its own field counts nothing") {
  Stream stream;
  stream.record(PERF_RECORD_LOST, 16, {~uint64_t{0}});
  stream.record(PERF_RECORD_LOST_SAMPLES, 8);
  RecordCounts counts;
  Result<size_t> taken = count_records(stream.wrapped(0), 24, counts);
  CHECK(bool(taken));
  EQUAL(counts.lost, 0);
  EQUAL(counts.records, 2);
}

TEST("an output without a reader is given up on abort, and has the bytes that fitted") {
  int fds[2];
  EQUAL(pipe(fds), 0);
  Result<OutputFile> file = OutputFile::duplicate(fds[1]);
  CHECK(bool(file));
  const UniqueFd wake(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  std::vector<uint8_t> bytes(1 << 20, 42);
  iovec vectors[] = {{bytes.data(), 0}, {bytes.data(), bytes.size()}};
  std::atomic<bool> abort = false;
  uint64_t written = 0;
  // The event is taken by the first wait; the second is ended by another, with the flag set before
  // it.
  std::thread later([&] {
    usleep(50'000);
    abort = true;
    const uint64_t one = 1;
    CHECK(write(wake.get(), &one, sizeof one) == sizeof one);
  });
  const std::optional<Error> error = file->write_all(vectors, abort, wake.get(), written);
  later.join();
  CHECK(error.has_value());
  EQUAL(error->number, ECANCELED);
  CHECK(written > 0 && written < bytes.size());
}
