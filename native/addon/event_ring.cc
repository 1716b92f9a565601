#include "addon/event_ring.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace perfbroker::addon {
namespace {

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

void RingBytes::copy_to(uint8_t* into, size_t bytes) const {
  size_t head = std::min(bytes, first.size());
  std::copy_n(first.begin(), head, into);
  std::copy_n(second.begin(), bytes - head, into + head);
}

Result<EventRing> EventRing::map(int fd, size_t pages) {
  size_t capacity = pages * page_bytes();
  void* address = mmap(nullptr, page_bytes() + capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return last_error("mmap");
  EventRing ring;
  ring.page_ = static_cast<perf_event_mmap_page*>(address);
  ring.data_ = static_cast<const uint8_t*>(address) + page_bytes();
  ring.capacity_ = capacity;
  ring.fd_ = fd;
  // Not necessarily 0: another reader may have read from this ring before.
  ring.tail_ = __atomic_load_n(&ring.page_->data_tail, __ATOMIC_RELAXED);
  if (ring.tail_ % 8 != 0) return Error{EBADMSG, "perf_event_mmap_page"};
  return ring;
}

EventRing::~EventRing() {
  if (page_ != nullptr) munmap(page_, page_bytes() + capacity_);
}

Result<RingBytes> EventRing::unread() const {
  // Acquire: no record may be read before the head that covers it. Pairs with the kernel's
  // perf_output_put_handle().
  const uint64_t head = __atomic_load_n(&page_->data_head, __ATOMIC_ACQUIRE);
  const uint64_t bytes = head - tail_;
  // A ring that is written backwards (attr.write_backward) has a falling head and ends up here too.
  if (bytes > capacity_ || bytes % 8 != 0) return Error{EBADMSG, "perf_event_mmap_page"};
  const size_t start = tail_ & (capacity_ - 1);
  const size_t first = std::min<size_t>(bytes, capacity_ - start);
  return RingBytes{{data_ + start, first}, {data_, static_cast<size_t>(bytes) - first}};
}

void EventRing::release(size_t bytes) {
  tail_ += bytes;
  // Release: every read of the records comes before the kernel may overwrite them.
  __atomic_store_n(&page_->data_tail, tail_, __ATOMIC_RELEASE);
}

std::optional<Error> redirect_event(int fd, const EventRing& ring) {
  if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring.fd()) != 0) return last_error("ioctl");
  return std::nullopt;
}

}  // namespace perfbroker::addon
