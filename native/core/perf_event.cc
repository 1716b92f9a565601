#include "core/perf_event.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace perfbroker {

namespace {

// Where config3 begins (Linux 6.3, PERF_ATTR_SIZE_VER8); the headers of older systems end before it.
constexpr size_t kConfig3Offset = 128;

}  // namespace

Attr build_attr(const protocol::EventFields& f) {
  using namespace protocol;
  const auto bit = [&f](uint64_t flag) -> __u64 { return (f.flags & flag) != 0 ? 1 : 0; };

  perf_event_attr a;
  memset(&a, 0, sizeof a);
  a.type = f.type;
  a.size = f.config3 != 0 ? kAttrSizeVer8 : kAttrSizeVer7;
  a.config = f.config;
  a.config1 = f.config1;  // bp_addr
  a.config2 = f.config2;  // bp_len
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
  a.precise_ip = f.precise_ip & 3u;

  a.disabled = 1;
  a.inherit = bit(kInherit) & 1u;
  a.pinned = bit(kPinned) & 1u;
  a.exclusive = bit(kExclusive) & 1u;
  a.exclude_user = bit(kExcludeUser) & 1u;
  a.exclude_kernel = bit(kExcludeKernel) & 1u;
  a.exclude_hv = bit(kExcludeHv) & 1u;
  a.exclude_idle = bit(kExcludeIdle) & 1u;
  a.exclude_host = bit(kExcludeHost) & 1u;
  a.exclude_guest = bit(kExcludeGuest) & 1u;
  a.exclude_callchain_kernel = bit(kExcludeCallchainKernel | kExcludeKernel) & 1u;
  a.exclude_callchain_user = bit(kExcludeCallchainUser) & 1u;
  a.mmap = bit(kMmap) & 1u;
  a.mmap_data = bit(kMmapData) & 1u;
  a.mmap2 = bit(kMmap2) & 1u;
  a.build_id = bit(kBuildId) & 1u;
  a.comm = bit(kComm) & 1u;
  a.comm_exec = bit(kCommExec) & 1u;
  a.task = bit(kTask) & 1u;
  a.context_switch = bit(kContextSwitch) & 1u;
  a.namespaces = bit(kNamespaces) & 1u;
  a.ksymbol = bit(kKsymbol) & 1u;
  a.bpf_event = bit(kBpfEvent) & 1u;
  a.cgroup = bit(kCgroup) & 1u;
  a.text_poke = bit(kTextPoke) & 1u;
  a.freq = bit(kFreq) & 1u;
  a.inherit_stat = bit(kInheritStat) & 1u;
  a.inherit_thread = bit(kInheritThread) & 1u;
  a.enable_on_exec = bit(kEnableOnExec) & 1u;
  a.remove_on_exec = bit(kRemoveOnExec) & 1u;
  a.watermark = bit(kWatermark) & 1u;
  a.sample_id_all = bit(kSampleIdAll) & 1u;
  a.use_clockid = bit(kUseClockid) & 1u;
  a.write_backward = bit(kWriteBackward) & 1u;

  Attr attr{};
  memcpy(attr.bytes, &a, kAttrSizeVer7);
  memcpy(attr.bytes + kConfig3Offset, &f.config3, sizeof f.config3);
  return attr;
}

Result<UniqueFd> open_event(const Attr& attr, pid_t pid, int cpu, int group, unsigned long flags) {
  const long fd = syscall(SYS_perf_event_open, attr.bytes, pid, cpu, group, flags | PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return last_error("perf_event_open");
  return UniqueFd(static_cast<int>(fd));
}

}  // namespace perfbroker
