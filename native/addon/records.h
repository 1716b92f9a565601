// Walking perf records by their headers (enum perf_event_type, include/uapi/linux/perf_event.h).
// Free of Node-API.
#pragma once

#include <cstddef>
#include <cstdint>

#include "addon/event_ring.h"
#include "addon/result.h"

namespace perfbroker::addon {

// The longest record: its size field has 16 bits.
inline constexpr size_t kMaxRecordBytes = 65535;

struct RecordCounts {
  uint64_t records = 0;
  uint64_t samples = 0;  // PERF_RECORD_SAMPLE
  uint64_t lost = 0;     // sum of the lost fields of PERF_RECORD_LOST and PERF_RECORD_LOST_SAMPLES
  uint64_t throttled = 0;  // PERF_RECORD_THROTTLE

  RecordCounts& operator+=(const RecordCounts& other) {
    records += other.records;
    samples += other.samples;
    lost += other.lost;
    throttled += other.throttled;
    return *this;
  }
};

// Adds to `counts` every whole record that starts at the beginning of `bytes` and ends within
// `limit`; returns the bytes that they take. EBADMSG when a header cannot be true: a size of 0, no
// multiple of 8, or beyond the end.
Result<size_t> count_records(const RingBytes& bytes, size_t limit, RecordCounts& counts);

}  // namespace perfbroker::addon
