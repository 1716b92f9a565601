#include "core/perf_event.h"
#include "test/harness.h"

using namespace perfbroker;

namespace {

perf_event_attr build(const protocol::EventFields& fields) {
  const Attr attr = build_attr(fields);
  perf_event_attr base;
  memset(&base, 0, sizeof base);
  memcpy(&base, attr.bytes, kAttrSizeVer7);
  return base;
}

// Each flag with the bit-field of the C struct that it stands for.
struct Flag {
  uint64_t flag;
  bool (*read)(const perf_event_attr&);
};
#define FLAG(flag, member)                                                 \
  {                                                                        \
    protocol::flag, [](const perf_event_attr& a) { return a.member == 1; } \
  }
constexpr Flag kFlags[] = {FLAG(kInherit, inherit), FLAG(kPinned, pinned),
    FLAG(kExclusive, exclusive), FLAG(kExcludeUser, exclude_user),
    FLAG(kExcludeKernel, exclude_kernel), FLAG(kExcludeHv, exclude_hv),
    FLAG(kExcludeIdle, exclude_idle), FLAG(kExcludeHost, exclude_host),
    FLAG(kExcludeGuest, exclude_guest), FLAG(kExcludeCallchainKernel, exclude_callchain_kernel),
    FLAG(kExcludeCallchainUser, exclude_callchain_user), FLAG(kMmap, mmap),
    FLAG(kMmapData, mmap_data), FLAG(kMmap2, mmap2), FLAG(kBuildId, build_id), FLAG(kComm, comm),
    FLAG(kCommExec, comm_exec), FLAG(kTask, task), FLAG(kContextSwitch, context_switch),
    FLAG(kNamespaces, namespaces), FLAG(kKsymbol, ksymbol), FLAG(kBpfEvent, bpf_event),
    FLAG(kCgroup, cgroup), FLAG(kTextPoke, text_poke), FLAG(kFreq, freq),
    FLAG(kInheritStat, inherit_stat), FLAG(kInheritThread, inherit_thread),
    FLAG(kEnableOnExec, enable_on_exec), FLAG(kRemoveOnExec, remove_on_exec),
    FLAG(kWatermark, watermark), FLAG(kSampleIdAll, sample_id_all), FLAG(kUseClockid, use_clockid),
    FLAG(kWriteBackward, write_backward)};

}  // namespace

TEST("every event flag sets its own bit-field of perf_event_attr and no other") {
  uint64_t seen = 0;
  for (const Flag& flag : kFlags) {
    protocol::EventFields fields{};
    fields.flags = flag.flag;
    const perf_event_attr attr = build(fields);
    for (const Flag& other : kFlags) {
      const bool implied =
          flag.flag == protocol::kExcludeKernel && other.flag == protocol::kExcludeCallchainKernel;
      EQUAL(other.read(attr), other.flag == flag.flag || implied);
    }
    seen |= flag.flag;
  }
  EQUAL(seen, protocol::kAllEventFlags);
}

TEST("an event is built disabled for every request") {
  protocol::EventFields fields{};
  EQUAL(build(fields).disabled, 1);
  fields.flags = protocol::kAllEventFlags;
  EQUAL(build(fields).disabled, 1);
}

TEST("sigtrap, aux output and every bit that has no flag stay zero") {
  protocol::EventFields fields{};
  fields.flags = ~0ull;
  fields.precise_ip = 0xff;
  const perf_event_attr attr = build(fields);
  EQUAL(attr.sigtrap, 0);
  EQUAL(attr.aux_output, 0);
  EQUAL(attr.__reserved_1, 0);
  EQUAL(attr.precise_ip, 3);
}

TEST("the typed fields arrive in the members of the same name") {
  protocol::EventFields f{};
  f.type = 1;
  f.wakeup = 2;
  f.config = 3;
  f.config1 = 4;
  f.config2 = 5;
  f.sample_period = 6;
  f.sample_type = 7;
  f.read_format = 8;
  f.branch_sample_type = 9;
  f.sample_regs_user = 10;
  f.sample_regs_intr = 11;
  f.sample_stack_user = 16;
  f.bp_type = 3;
  f.clockid = 4;
  f.sample_max_stack = 12;
  f.precise_ip = 2;
  const perf_event_attr a = build(f);
  EQUAL(a.type, 1);
  EQUAL(a.wakeup_events, 2);
  EQUAL(a.config, 3);
  EQUAL(a.config1, 4);
  EQUAL(a.config2, 5);
  EQUAL(a.sample_period, 6);
  EQUAL(a.sample_type, 7);
  EQUAL(a.read_format, 8);
  EQUAL(a.branch_sample_type, 9);
  EQUAL(a.sample_regs_user, 10);
  EQUAL(a.sample_regs_intr, 11);
  EQUAL(a.sample_stack_user, 16);
  EQUAL(a.bp_type, 3);
  EQUAL(a.clockid, 4);
  EQUAL(a.sample_max_stack, 12);
  EQUAL(a.precise_ip, 2);
  EQUAL(a.aux_watermark, 0);
  EQUAL(a.aux_sample_size, 0);
  EQUAL(a.sig_data, 0);
}

TEST("the size is VER7's until config3 asks for VER8's") {
  protocol::EventFields fields{};
  EQUAL(build(fields).size, 128);
  fields.config3 = 0x1122334455667788;
  EQUAL(build(fields).size, 136);
  const Attr attr = build_attr(fields);
  uint64_t config3;
  memcpy(&config3, attr.bytes + 128, sizeof config3);
  EQUAL(config3, fields.config3);
}

TEST("an opened event is close-on-exec") {
  protocol::EventFields fields{};
  fields.type = PERF_TYPE_SOFTWARE;
  fields.flags = protocol::kExcludeKernel;
  const UniqueFd fd = open_event(build_attr(fields), 0, -1, -1, 0);
  CHECK(bool(fd));
  EQUAL(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
}
