// Rings that the opener maps in advance: while it holds such a mapping, the client's own mmap of
// the same size is not charged to the client's memlock limit (perf_mmap, kernel/events/core.c).
// They are the only state between the messages of a channel.
#pragma once

#include "core/workers.h"
#include "protocol/opener.h"

namespace perfbroker {

class Rings {
 public:
  explicit Rings(Workers& workers) : workers_(workers) {}

  // Maps `pages` data pages and the control page of an event. 0, or an errno: ENOSPC when the table
  // is full or all workers together hold kMaxPremapBytes, else that of mmap(2).
  int map(uint32_t serial, int event, uint32_t pages);

  // Unmaps the rings of a request. It may have none.
  void release(uint32_t serial);

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
