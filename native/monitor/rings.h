// Rings that the opener maps in advance: while it holds such a mapping, the client's own mmap of the same size is not
// charged to the client's memlock limit (perf_mmap, kernel/events/core.c). The only state between requests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "monitor/protocol.h"

namespace perfbroker {

class Rings {
 public:
  // Maps `pages` data pages and the control page of an event. 0, or an errno: ENOSPC when the table or
  // kMaxPremapBytes is used up, else mmap(2)'s.
  int map(uint32_t serial, int event, uint32_t pages);
  // Unmaps what belongs to a request; none is fine.
  void release(uint32_t serial);

  size_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Ring {
    void* address;
    size_t length;
    uint32_t serial;
  };
  Ring rings_[protocol::kMaxRings];
  size_t count_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace perfbroker
