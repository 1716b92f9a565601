// Rings that the opener maps in advance: while it holds such a mapping, the client's own mmap of
// the same size is not charged to the client's memlock limit (perf_mmap, kernel/events/core.c). The
// only state between messages.
#pragma once

#include "core/linux.h"
#include "core/workers.h"
#include "protocol/opener.h"

namespace perfbroker {

class Rings {
 public:
  explicit Rings(Workers& workers) : workers_(workers) {}

  // Maps `pages` data pages and the control page of an event. 0, or an errno: ENOSPC when the table
  // or, over all workers, kMaxPremapBytes is used up, else mmap(2)'s.
  int map(uint32_t serial, int event, uint32_t pages) {
    const size_t length = (size_t{pages} + 1) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (count_ == protocol::kMaxRings || !workers_.reserve(length, protocol::kMaxPremapBytes))
      return ENOSPC;
    void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
    if (address != MAP_FAILED) rings_[count_++] = {address, length, serial};
    const int error = address == MAP_FAILED ? errno : 0;
    if (error != 0) workers_.give_back(length);
    return error;
  }

  // Unmaps what belongs to a request; none is fine.
  void release(uint32_t serial) {
    for (size_t i = count_; i-- > 0;) {
      if (rings_[i].serial != serial) continue;
      munmap(rings_[i].address, rings_[i].length);
      workers_.give_back(rings_[i].length);
      rings_[i] = rings_[--count_];
    }
  }

 private:
  struct Ring {
    void* address;
    size_t length;
    uint32_t serial;
  };
  Workers& workers_;
  Ring rings_[protocol::kMaxRings];
  size_t count_ = 0;
};

}  // namespace perfbroker
