#include "monitor/check.h"

#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include <bit>
#include <cstring>

namespace perfbroker {

namespace {

using namespace protocol;

// Past the last bit of Linux 6.18's uapi/linux/perf_event.h.
constexpr uint64_t kSampleTypeEnd = uint64_t{1} << 25;
constexpr uint64_t kReadFormatEnd = uint64_t{1} << 5;
constexpr uint64_t kBranchTypeEnd = uint64_t{1} << 20;
constexpr uint32_t kTypeEnd = uint32_t{1} << 31;      // a PMU's number is an int
constexpr uint32_t kMaxStackUser = 65528;             // perf_copy_attr: below USHRT_MAX, a multiple of 8
constexpr int32_t kMaxCpu = 65535;
constexpr uint32_t kMaxRingPages = kMaxPremapBytes / 4096;

// Where the kernel's half of the address space may begin at the earliest; below is user space on every machine.
#if defined(__x86_64__)
constexpr uint64_t kUserEnd = uint64_t{1} << 47;
#else
constexpr uint64_t kUserEnd = uint64_t{1} << 52;
#endif

const char* find_event_malformation(const EventFields& e) {
  if (e.type >= kTypeEnd) return "event type";
  if ((e.flags & ~uint64_t{kAllEventFlags}) != 0) return "event flags";
  if (e.sample_type >= kSampleTypeEnd) return "sample type";
  if (e.read_format >= kReadFormatEnd) return "read format";
  if (e.branch_sample_type >= kBranchTypeEnd) return "branch sample type";
  if (e.sample_stack_user > kMaxStackUser || e.sample_stack_user % 8 != 0) return "user stack size";
  if (e.precise_ip > 3) return "precise_ip";
  if (e.reserved != 0) return "reserved field of an event";
  if (e.type == PERF_TYPE_BREAKPOINT) {
    if (e.bp_type == HW_BREAKPOINT_EMPTY || e.bp_type > HW_BREAKPOINT_X ||
        ((e.bp_type & HW_BREAKPOINT_X) != 0 && e.bp_type != HW_BREAKPOINT_X)) {
      return "breakpoint type";
    }
  } else if (e.bp_type != 0) {
    return "breakpoint type";
  }
  // CLOCK_REALTIME, MONOTONIC, MONOTONIC_RAW, BOOTTIME, TAI: what perf_event_set_clock accepts.
  constexpr uint32_t clocks = 1u << 0 | 1u << 1 | 1u << 4 | 1u << 7 | 1u << 11;
  if ((e.flags & kUseClockid) == 0 ? e.clockid != 0 : e.clockid < 0 || e.clockid > 11 || (clocks >> e.clockid & 1) == 0) {
    return "clock";
  }
  return nullptr;
}

const char* find_slot_malformation(const Request& r, uint32_t index) {
  const Slot& slot = r.slots[index];
  const bool process = r.target == TargetKind::kProcess;
  if (process ? slot.tid <= 0 : slot.tid != -1) return "thread id";
  if (slot.cpu < (process ? -1 : 0) || slot.cpu > kMaxCpu) return "cpu";
  if (slot.event >= r.event_count) return "event index";
  if (slot.leader != kNoLeader) {
    if (slot.leader >= index) return "group leader";
    const Slot& leader = r.slots[slot.leader];
    if (leader.leader != kNoLeader || leader.tid != slot.tid || leader.cpu != slot.cpu) return "group leader";
  }
  if (r.premap[index] > 1 || (r.premap[index] == 1 && r.ring_pages == 0)) return "ring flag";
  return nullptr;
}

bool all_zero(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

const char* find_open_malformation(const Request& r, size_t fd_count) {
  size_t expected_fds = 0;
  switch (r.target) {
    case TargetKind::kProcess: expected_fds = 2; break;
    case TargetKind::kSystem: expected_fds = 1; break;
    case TargetKind::kCgroup: expected_fds = 2; break;
    default: return "target kind";
  }
  if (fd_count != expected_fds) return "number of fds";
  if (r.event_count == 0 || r.event_count > kMaxEvents) return "number of events";
  if (r.slot_count == 0 || r.slot_count > kMaxSlots) return "number of slots";
  if (r.ring_pages > kMaxRingPages || (r.ring_pages != 0 && !std::has_single_bit(r.ring_pages))) return "ring size";
  if (r.target == TargetKind::kProcess) {
    if (r.expected.dumpable > 1 || r.expected.reserved != 0) return "identity";
  } else if (!all_zero(&r.expected, sizeof r.expected)) {
    return "identity";
  }
  for (uint32_t i = 0; i < r.event_count; i++) {
    if (const char* what = find_event_malformation(r.events[i])) return what;
  }
  for (uint32_t i = 0; i < r.slot_count; i++) {
    if (const char* what = find_slot_malformation(r, i)) return what;
  }
  return nullptr;
}

uint32_t classes_of_event(const EventFields& e) {
  uint32_t classes = 0;
  switch (e.type) {
    case PERF_TYPE_HARDWARE:
    case PERF_TYPE_SOFTWARE:
    case PERF_TYPE_HW_CACHE: classes = kUser; break;
    case PERF_TYPE_TRACEPOINT: classes = kTracepoint; break;
    case PERF_TYPE_BREAKPOINT:
      classes = kBreakpoint;
      if (e.config1 >= kUserEnd || e.config2 > kUserEnd - e.config1) classes |= kKernel;
      break;
    default: classes = kRaw; break;  // PERF_TYPE_RAW and every dynamic PMU
  }
  constexpr uint64_t kernel_samples = PERF_SAMPLE_PHYS_ADDR | PERF_SAMPLE_REGS_INTR;
  constexpr uint64_t kernel_records = kKsymbol | kBpfEvent | kTextPoke;
  constexpr uint64_t kernel_branches = PERF_SAMPLE_BRANCH_KERNEL | PERF_SAMPLE_BRANCH_HV;
  if ((e.flags & kExcludeKernel) == 0 || (e.flags & kernel_records) != 0 || (e.sample_type & kernel_samples) != 0 ||
      (e.branch_sample_type & kernel_branches) != 0) {
    classes |= kKernel;
  }
  return classes;
}

}  // namespace

const char* find_malformation(const Request& r, size_t fd_count) {
  if (r.version != kVersion) return "version";
  if (r.serial == 0) return "serial";
  if (r.reserved != 0 || !all_zero(r.reserved2, sizeof r.reserved2)) return "reserved field";
  switch (r.type) {
    case RequestType::kOpen: return find_open_malformation(r, fd_count);
    case RequestType::kRelease: return fd_count == 0 && r.event_count == 0 && r.slot_count == 0 ? nullptr : "release";
    default: return "request type";
  }
}

uint32_t classes_of(const Request& r) {
  uint32_t classes = r.target == TargetKind::kProcess ? 0 : uint32_t{kSystemWide};
  for (uint32_t i = 0; i < r.event_count; i++) classes |= classes_of_event(r.events[i]);
  return classes;
}

}  // namespace perfbroker
