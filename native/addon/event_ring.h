// The mapped data ring of one perf event, as its only reader (perf_event_open(2), "MMAP layout").
// Free of Node-API.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "addon/result.h"

namespace perfbroker::addon {

// Consecutive bytes of the ring. `second` is not empty when they wrap. Records are 8-byte aligned
// and so are both parts: a header or any other aligned u64 never straddles the wrap, a whole record
// may.
struct RingBytes {
  std::span<const uint8_t> first, second;

  size_t size() const { return first.size() + second.size(); }
  template <typename T>
  T load(size_t offset) const {
    static_assert(sizeof(T) <= 8);
    T value;
    std::memcpy(&value, offset < first.size() ? &first[offset] : &second[offset - first.size()],
        sizeof value);
    return value;
  }
  void copy_to(uint8_t* into, size_t bytes) const;
};

class EventRing {
 public:
  // MAP_SHARED and read-write (the kernel then keeps to data_tail instead of overwriting). `pages`
  // of data, a power of two; one more is mapped for the header. EPERM: the memlock limit; EINVAL:
  // mapped already at another size.
  static Result<EventRing> map(int fd, size_t pages);

  EventRing() = default;
  EventRing(EventRing&& other) noexcept { *this = std::move(other); }
  EventRing& operator=(EventRing&& other) noexcept {
    std::swap(page_, other.page_);
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    std::swap(tail_, other.tail_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~EventRing();

  // The bytes that the kernel has published and that are not yet released; whole records, in order.
  // EBADMSG when the head is where no ring in this mode can have it.
  Result<RingBytes> unread() const;
  // Gives the oldest `bytes` back to the kernel.
  void release(size_t bytes);
  // The fd that it was mapped from; not owned.
  int fd() const { return fd_; }

 private:
  perf_event_mmap_page* page_ = nullptr;
  const uint8_t* data_ = nullptr;
  size_t capacity_ = 0;  // bytes of data
  uint64_t tail_ = 0;
  int fd_ = -1;
};

// Sends what the event `fd` records to `ring` (PERF_EVENT_IOC_SET_OUTPUT). EINVAL: another cpu, or
// another clock.
std::optional<Error> redirect_event(int fd, const EventRing& ring);

}  // namespace perfbroker::addon
