#include "core/perf_event.h"

namespace perfbroker {

namespace {

// struct perf_event_attr's word of single-bit fields, and which of its bits each EventFlag is, in
// EventFlag's order.
constexpr size_t kFlagsOffset = 40;
constexpr uint8_t kAttrBits[] = {1, 2, 3, 4, 5, 6, 7, 19, 20, 21, 22, 8, 17, 23, 34, 9, 24, 13, 26,
    28, 29, 30, 32, 33, 10, 11, 35, 12, 36, 14, 18, 25, 27};
constexpr unsigned kDisabledBit = 0, kPreciseIpShift = 15;
static_assert(protocol::kAllEventFlags == (uint64_t{1} << sizeof kAttrBits) - 1);
static_assert(offsetof(perf_event_attr, read_format) + 8 == kFlagsOffset);

// Offset of config3 (Linux 6.3, PERF_ATTR_SIZE_VER8). The headers of older systems do not have it.
constexpr size_t kConfig3Offset = 128;

}  // namespace

Attr build_attr(const protocol::EventFields& f) {
  uint64_t flags = uint64_t{1} << kDisabledBit | uint64_t{f.precise_ip & 3u} << kPreciseIpShift;
  const bool user_only = (f.flags & protocol::kExcludeKernel) != 0;
  const uint64_t asked = f.flags | (user_only ? uint64_t{protocol::kExcludeCallchainKernel} : 0);
  for (size_t i = 0; i < sizeof kAttrBits; i++) flags |= (asked >> i & 1) << kAttrBits[i];

  perf_event_attr a;
  memset(&a, 0, sizeof a);
  a.type = f.type;
  a.size = f.config3 != 0 ? kAttrSizeVer8 : kAttrSizeVer7;
  a.config = f.config;
  a.config1 = f.config1;              // bp_addr
  a.config2 = f.config2;              // bp_len
  a.sample_period = f.sample_period;  // sample_freq
  a.sample_type = f.sample_type;
  a.read_format = f.read_format;
  a.branch_sample_type = f.branch_sample_type;
  a.sample_regs_user = f.sample_regs_user;
  a.sample_regs_intr = f.sample_regs_intr;
  a.sample_stack_user = f.sample_stack_user;
  a.wakeup_events = f.wakeup;  // wakeup_watermark
  a.bp_type = f.bp_type;
  a.clockid = f.clockid;
  a.sample_max_stack = f.sample_max_stack;

  Attr attr{};
  memcpy(attr.bytes, &a, kAttrSizeVer7);
  memcpy(attr.bytes + kFlagsOffset, &flags, sizeof flags);
  memcpy(attr.bytes + kConfig3Offset, &f.config3, sizeof f.config3);
  return attr;
}

UniqueFd open_event(const Attr& attr, pid_t pid, int cpu, int group, unsigned long flags) {
  return UniqueFd(static_cast<int>(
      syscall(SYS_perf_event_open, attr.bytes, pid, cpu, group, flags | PERF_FLAG_FD_CLOEXEC)));
}

}  // namespace perfbroker
