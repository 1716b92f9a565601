#include "addon/records.h"

namespace perfbroker::addon {

Result<size_t> count_records(const RingBytes& bytes, size_t limit, RecordCounts& counts) {
  constexpr size_t kLostField = 16;  // PERF_RECORD_LOST: header, u64 id, u64 lost
  constexpr size_t kLostSamplesField = 8;
  const size_t end = bytes.size();
  size_t offset = 0;
  while (offset < end) {
    if (end - offset < sizeof(perf_event_header)) return Error{EBADMSG, "perf_event_header"};
    const auto header = bytes.load<perf_event_header>(offset);
    if (header.size < sizeof header || header.size % 8 != 0 || header.size > end - offset) {
      return Error{EBADMSG, "perf_event_header"};
    }
    if (header.size > limit - offset) break;
    counts.records++;
    switch (header.type) {
      case PERF_RECORD_SAMPLE:
        counts.samples++;
        break;
      case PERF_RECORD_LOST:
        if (header.size >= kLostField + 8) counts.lost += bytes.load<uint64_t>(offset + kLostField);
        break;
      case PERF_RECORD_LOST_SAMPLES:
        if (header.size >= kLostSamplesField + 8)
          counts.lost += bytes.load<uint64_t>(offset + kLostSamplesField);
        break;
      case PERF_RECORD_THROTTLE:
        counts.throttled++;
        break;
      default:
        break;
    }
    offset += header.size;
  }
  return offset;
}

}  // namespace perfbroker::addon
