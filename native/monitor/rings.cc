#include "monitor/rings.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace perfbroker {

int Rings::map(uint32_t serial, int event, uint32_t pages) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t length = (size_t{pages} + 1) * page;
  if (count_ == protocol::kMaxRings || length > protocol::kMaxPremapBytes - bytes_) return ENOSPC;
  void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
  if (address == MAP_FAILED) return errno;
  rings_[count_++] = {address, length, serial};
  bytes_ += length;
  return 0;
}

void Rings::release(uint32_t serial) {
  for (size_t i = 0; i < count_;) {
    if (rings_[i].serial != serial) {
      i++;
      continue;
    }
    munmap(rings_[i].address, rings_[i].length);
    bytes_ -= rings_[i].length;
    rings_[i] = rings_[--count_];
  }
}

}  // namespace perfbroker
