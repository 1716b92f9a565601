#include "opener/check.h"

#include <linux/hw_breakpoint.h>

#include <bit>

namespace perfbroker {

using namespace protocol;

namespace {

// The bits behind the last ones of Linux 6.18's uapi/linux/perf_event.h.
constexpr uint64_t kSampleTypeEnd = 1ull << 25, kReadFormatEnd = 1ull << 5;
constexpr uint64_t kBranchTypeEnd = 1ull << 20;
// A PMU's number is an int; perf_copy_attr wants a stack size below USHRT_MAX, a multiple of 8.
constexpr uint32_t kTypeEnd = 1u << 31, kMaxStackUser = 65528;
// User space lies below this address on every machine (at most 56 bits on x86-64, 52 on aarch64),
// the kernel's half far above it.
constexpr uint64_t kUserEnd = 1ull << 56;

const char* find_slot_malformation(const Request& r, uint32_t index) {
  const Slot& slot = r.slots[index];
  const bool process = r.target == TargetKind::kProcess;
  if (process ? slot.tid <= 0 : slot.tid != -1) return "thread id";
  if (slot.cpu < (process ? -1 : 0) || slot.cpu > kMaxCpu) return "cpu";
  if (slot.event >= r.event_count) return "event index";
  if (r.premap[index] > (r.ring_pages == 0 ? 0 : 1)) return "ring flag";
  if (slot.leader == kNoLeader) return nullptr;
  if (slot.leader >= index) return "group leader";
  const Slot& leader = r.slots[slot.leader];
  const bool together =
      leader.leader == kNoLeader && leader.tid == slot.tid && leader.cpu == slot.cpu;
  return together ? nullptr : "group leader";
}

bool all_zero(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  return std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; });
}

const char* find_open_malformation(const Request& r, size_t fd_count) {
  if (r.target < TargetKind::kProcess || r.target > TargetKind::kCgroup) return "target kind";
  if (fd_count != (r.target == TargetKind::kSystem ? 1 : 2)) return "number of fds";
  if (r.event_count == 0 || r.event_count > kMaxEvents) return "number of events";
  if (r.slot_count == 0 || r.slot_count > kMaxSlots) return "number of slots";
  if (r.ring_pages > kMaxRingPages) return "ring size";
  if (r.ring_pages != 0 && !std::has_single_bit(r.ring_pages)) return "ring size";
  if (r.expected.dumpable > 1 || r.expected.reserved != 0) return "identity";
  if (r.target != TargetKind::kProcess && !all_zero(&r.expected, sizeof r.expected))
    return "identity";
  for (uint32_t i = 0; i < r.event_count; i++) {
    if (const char* fault = find_event_malformation(r.events[i])) return fault;
  }
  for (uint32_t i = 0; i < r.slot_count; i++) {
    if (const char* fault = find_slot_malformation(r, i)) return fault;
  }
  return nullptr;
}

bool reads_kernel(const EventFields& e) {
  constexpr uint64_t records = kNamespaces | kKsymbol | kBpfEvent | kTextPoke;
  constexpr uint64_t samples = PERF_SAMPLE_PHYS_ADDR | PERF_SAMPLE_REGS_INTR;
  constexpr uint64_t branches = PERF_SAMPLE_BRANCH_KERNEL | PERF_SAMPLE_BRANCH_HV;
  return (e.flags & kExcludeKernel) == 0 || (e.flags & records) != 0 ||
         (e.sample_type & samples) != 0 || (e.branch_sample_type & branches) != 0;
}

uint32_t classes_of_event(const EventFields& e) {
  // PERF_TYPE_HARDWARE, SOFTWARE, TRACEPOINT, HW_CACHE, RAW, BREAKPOINT; then every dynamic PMU.
  constexpr Ceiling by_type[PERF_TYPE_MAX] = {kUser, kUser, kTracepoint, kUser, kRaw, kBreakpoint};
  const uint32_t classes = e.type < PERF_TYPE_MAX ? by_type[e.type] : kRaw;
  const bool kernel_address =
      classes == kBreakpoint && (e.config1 >= kUserEnd || e.config2 > kUserEnd - e.config1);
  return reads_kernel(e) || kernel_address ? classes | kKernel : classes;
}

}  // namespace

const char* find_event_malformation(const EventFields& e) {
  if (e.type >= kTypeEnd) return "event type";
  if ((e.flags & ~uint64_t{kAllEventFlags}) != 0) return "event flags";
  if (e.sample_type >= kSampleTypeEnd) return "sample type";
  if (e.read_format >= kReadFormatEnd) return "read format";
  if (e.branch_sample_type >= kBranchTypeEnd) return "branch sample type";
  if (e.sample_stack_user > kMaxStackUser || e.sample_stack_user % 8 != 0) return "user stack size";
  if (e.precise_ip > 3) return "precise_ip";
  if (e.reserved != 0) return "reserved field of an event";
  // R, W, RW or X.
  const bool access = e.bp_type >= HW_BREAKPOINT_R && e.bp_type <= HW_BREAKPOINT_X;
  if (e.type == PERF_TYPE_BREAKPOINT ? !access : e.bp_type != 0) return "breakpoint type";
  // CLOCK_REALTIME, MONOTONIC, MONOTONIC_RAW, BOOTTIME, TAI: perf_event_set_clock accepts these.
  constexpr uint32_t clocks = 1u << 0 | 1u << 1 | 1u << 4 | 1u << 7 | 1u << 11;
  const bool clock = e.clockid >= 0 && e.clockid < 32 && (clocks >> e.clockid & 1) != 0;
  return clock && (e.clockid == 0 || (e.flags & kUseClockid) != 0) ? nullptr : "clock";
}

const char* find_malformation(const Request& r, size_t fd_count) {
  if (r.version != kVersion) return "version";
  if (r.serial == 0) return "serial";
  if (r.reserved != 0 || !all_zero(r.reserved2, sizeof r.reserved2)) return "reserved field";
  if (r.type == RequestType::kOpen) return find_open_malformation(r, fd_count);
  if (r.type != RequestType::kRelease) return "request type";
  return fd_count == 0 && r.event_count == 0 && r.slot_count == 0 ? nullptr : "release";
}

uint32_t classes_of(const Request& r) {
  uint32_t classes = r.target == TargetKind::kProcess ? 0 : uint32_t{kSystemWide};
  for (uint32_t i = 0; i < r.event_count; i++) classes |= classes_of_event(r.events[i]);
  return classes;
}

uint32_t dynamic_pmu(const EventFields& e) {
  const bool generalised = e.type == PERF_TYPE_HARDWARE || e.type == PERF_TYPE_HW_CACHE;
  const auto type = generalised ? static_cast<uint32_t>(e.config >> 32) : e.type;
  return type >= PERF_TYPE_MAX ? type : 0;
}

}  // namespace perfbroker
