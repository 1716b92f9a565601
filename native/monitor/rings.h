// Rings that the opener maps in advance: while it holds such a mapping, the client's own mmap of the same size is not
// charged to the client's memlock limit (perf_mmap, kernel/events/core.c). The only state between requests.
#pragma once

#include "core/linux.h"
#include "monitor/protocol.h"

namespace perfbroker {

class Rings {
 public:
  // Maps `pages` data pages and the control page of an event. 0, or an errno: ENOSPC when the table or
  // kMaxPremapBytes is used up, else mmap(2)'s.
  int map(uint32_t serial, int event, uint32_t pages) {
    const size_t length = (size_t{pages} + 1) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (count_ == protocol::kMaxRings || length > protocol::kMaxPremapBytes - bytes_) return ENOSPC;
    void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
    if (address == MAP_FAILED) return errno;
    rings_[count_++] = {address, length, serial};
    bytes_ += length;
    return 0;
  }

  // Unmaps what belongs to a request; none is fine.
  void release(uint32_t serial) {
    for (size_t i = count_; i-- > 0;) {
      if (rings_[i].serial != serial) continue;
      munmap(rings_[i].address, rings_[i].length);
      bytes_ -= rings_[i].length;
      rings_[i] = rings_[--count_];
    }
  }

 private:
  struct Ring { void* address; size_t length; uint32_t serial; };
  Ring rings_[protocol::kMaxRings];
  size_t count_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace perfbroker
