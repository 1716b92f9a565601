#include "opener/rings.h"

namespace perfbroker {

int Rings::map(uint32_t serial, int event, uint32_t pages) {
  const size_t length = (size_t{pages} + 1) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (count_ == protocol::kMaxRings || !workers_.reserve(length, protocol::kMaxPremapBytes))
    return ENOSPC;
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
  if (address == MAP_FAILED) {
    const int error = errno;
    workers_.release(length);
    return error;
  }
  rings_[count_++] = {address, length, serial};
  return 0;
}

void Rings::release(uint32_t serial) {
  for (size_t i = count_; i-- > 0;) {
    if (rings_[i].serial != serial) continue;
    munmap(rings_[i].address, rings_[i].length);
    workers_.release(rings_[i].length);
    rings_[i] = rings_[--count_];
  }
}

}  // namespace perfbroker
