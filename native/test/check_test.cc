#include "opener/check.h"
#include "test/harness.h"

using namespace perfbroker;
using namespace perfbroker::protocol;

namespace {

Request valid() {
  Request r{};
  r.version = kVersion;
  r.type = RequestType::kOpen;
  r.serial = 7;
  r.target = TargetKind::kProcess;
  r.event_count = 2;
  r.slot_count = 3;
  for (uint32_t i = 0; i < 2; i++) {
    r.events[i].type = PERF_TYPE_SOFTWARE;
    r.events[i].flags = kExcludeKernel;
  }
  for (uint32_t i = 0; i < 3; i++) r.slots[i] = {100, -1, 0, kNoLeader};
  r.slots[1] = {100, -1, 1, 0};
  r.ring_pages = 8;
  r.premap[0] = 1;
  return r;
}

struct Mutation {
  const char* what;
  void (*apply)(Request&);
};

// Each makes the valid request malformed by one field.
constexpr Mutation kMalformed[] = {
    {"version", [](Request& r) { r.version = 2; }},
    {"type 0", [](Request& r) { r.type = RequestType{}; }},
    {"type 3", [](Request& r) { r.type = static_cast<RequestType>(3); }},
    {"serial", [](Request& r) { r.serial = 0; }},
    {"target 0", [](Request& r) { r.target = TargetKind{}; }},
    {"target 4", [](Request& r) { r.target = static_cast<TargetKind>(4); }},
    {"no events", [](Request& r) { r.event_count = 0; }},
    {"17 events", [](Request& r) { r.event_count = 17; }},
    {"2^32-1 events", [](Request& r) { r.event_count = ~0u; }},
    {"no slots", [](Request& r) { r.slot_count = 0; }},
    {"254 slots", [](Request& r) { r.slot_count = 254; }},
    {"2^32-1 slots", [](Request& r) { r.slot_count = ~0u; }},
    {"ring of 3 pages", [](Request& r) { r.ring_pages = 3; }},
    {"ring of 2^31 pages", [](Request& r) { r.ring_pages = 1u << 31; }},
    {"reserved", [](Request& r) { r.reserved = 1; }},
    {"reserved2", [](Request& r) { r.reserved2[2] = 1; }},
    {"dumpable 2", [](Request& r) { r.expected.dumpable = 2; }},
    {"reserved of the identity", [](Request& r) { r.expected.reserved = 1; }},
    {"premap 2", [](Request& r) { r.premap[2] = 2; }},
    {"premap without ring size", [](Request& r) { r.ring_pages = 0; }},
    {"event type 2^31", [](Request& r) { r.events[1].type = 1u << 31; }},
    {"event flag 33", [](Request& r) { r.events[1].flags |= 1ull << 33; }},
    {"event flag 63", [](Request& r) { r.events[1].flags |= 1ull << 63; }},
    {"sample type 25", [](Request& r) { r.events[1].sample_type = 1ull << 25; }},
    {"read format 5", [](Request& r) { r.events[1].read_format = 1ull << 5; }},
    {"branch type 20", [](Request& r) { r.events[1].branch_sample_type = 1ull << 20; }},
    {"stack of 4 bytes", [](Request& r) { r.events[1].sample_stack_user = 4; }},
    {"stack of 65,536 bytes", [](Request& r) { r.events[1].sample_stack_user = 65536; }},
    {"precise_ip 4", [](Request& r) { r.events[1].precise_ip = 4; }},
    {"reserved of an event", [](Request& r) { r.events[1].reserved = 1; }},
    {"breakpoint type without breakpoint", [](Request& r) { r.events[1].bp_type = 1; }},
    {"breakpoint without type", [](Request& r) { r.events[1].type = PERF_TYPE_BREAKPOINT; }},
    {"breakpoint type 5",
        [](Request& r) { r.events[1].type = PERF_TYPE_BREAKPOINT, r.events[1].bp_type = 5; }},
    {"clock without flag", [](Request& r) { r.events[1].clockid = 1; }},
    {"clock 2", [](Request& r) { r.events[1].flags |= kUseClockid, r.events[1].clockid = 2; }},
    {"clock -1", [](Request& r) { r.events[1].flags |= kUseClockid, r.events[1].clockid = -1; }},
    {"clock 64", [](Request& r) { r.events[1].flags |= kUseClockid, r.events[1].clockid = 64; }},
    {"tid 0", [](Request& r) { r.slots[2].tid = 0; }},
    {"tid -1 of a process", [](Request& r) { r.slots[2].tid = -1; }},
    {"cpu -2", [](Request& r) { r.slots[2].cpu = -2; }},
    {"cpu 65,536", [](Request& r) { r.slots[2].cpu = 65536; }},
    {"event index", [](Request& r) { r.slots[2].event = 2; }},
    {"leader that is itself", [](Request& r) { r.slots[2].leader = 2; }},
    {"leader that comes later", [](Request& r) { r.slots[0].leader = 2; }},
    {"leader that is not a slot", [](Request& r) { r.slots[2].leader = 0xfffe; }},
    {"leader that is led", [](Request& r) { r.slots[2].leader = 1; }},
    {"leader on another thread", [](Request& r) { r.slots[1].tid = 101; }},
    {"leader on another cpu", [](Request& r) { r.slots[1].cpu = 1; }},
};

uint32_t classes(void (*apply)(EventFields&)) {
  Request r = valid();
  apply(r.events[1]);
  CHECK(find_malformation(r, 2) == nullptr);
  return classes_of(r);
}

}  // namespace

TEST("the request from which the other tests are derived is well formed") {
  const char* what = find_malformation(valid(), 2);
  CHECK(what == nullptr);
}

TEST("each malformed field is found") {
  for (const Mutation& mutation : kMalformed) {
    Request r = valid();
    mutation.apply(r);
    if (find_malformation(r, 2) == nullptr)
      harness::check(false, mutation.what, __FILE__, __LINE__);
  }
}

TEST("a request carries exactly the fds of its kind") {
  Request r = valid();
  for (const size_t count : {0u, 1u, 3u}) CHECK(find_malformation(r, count) != nullptr);
  r.slots[0] = r.slots[2] = {-1, 0, 0, kNoLeader};
  r.slots[1] = {-1, 0, 1, 0};
  r.target = TargetKind::kSystem;
  CHECK(find_malformation(r, 1) == nullptr);
  CHECK(find_malformation(r, 2) != nullptr);
  r.target = TargetKind::kCgroup;
  CHECK(find_malformation(r, 2) == nullptr);
  CHECK(find_malformation(r, 1) != nullptr);
}

TEST("system and cgroup targets have a cpu, no thread and no identity") {
  Request r = valid();
  r.slot_count = 1;
  r.slots[0] = {-1, 0, 0, kNoLeader};
  r.target = TargetKind::kSystem;
  CHECK(find_malformation(r, 1) == nullptr);
  r.slots[0].cpu = -1;
  CHECK(find_malformation(r, 1) != nullptr);
  r.slots[0].cpu = 0;
  r.slots[0].tid = 1;
  CHECK(find_malformation(r, 1) != nullptr);
  r.slots[0].tid = -1;
  r.expected.uid[2] = 1;
  CHECK(find_malformation(r, 1) != nullptr);
}

TEST("a release carries neither fds nor counts") {
  Request r{};
  r.version = kVersion;
  r.type = RequestType::kRelease;
  r.serial = 7;
  CHECK(find_malformation(r, 0) == nullptr);
  CHECK(find_malformation(r, 1) != nullptr);
  r.slot_count = 1;
  CHECK(find_malformation(r, 0) != nullptr);
}

TEST("every event needs the classes of its type and of what it would show of the kernel") {
  EQUAL(classes([](EventFields&) {}), kUser);
  EQUAL(classes([](EventFields& e) { e.type = PERF_TYPE_HARDWARE; }), kUser);
  EQUAL(classes([](EventFields& e) { e.type = PERF_TYPE_HW_CACHE; }), kUser);
  EQUAL(classes([](EventFields& e) { e.type = PERF_TYPE_RAW; }), kUser | kRaw);
  EQUAL(classes([](EventFields& e) { e.type = 6; }), kUser | kRaw);
  EQUAL(classes([](EventFields& e) { e.type = (1u << 31) - 1; }), kUser | kRaw);
  EQUAL(classes([](EventFields& e) { e.type = PERF_TYPE_TRACEPOINT; }), kUser | kTracepoint);
  EQUAL(classes([](EventFields& e) { e.flags = 0; }), kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.flags |= kKsymbol; }), kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.flags |= kBpfEvent; }), kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.flags |= kTextPoke; }), kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.sample_type = PERF_SAMPLE_PHYS_ADDR; }), kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.sample_type = PERF_SAMPLE_REGS_INTR; }), kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.branch_sample_type = PERF_SAMPLE_BRANCH_KERNEL; }),
      kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.branch_sample_type = PERF_SAMPLE_BRANCH_HV; }),
      kUser | kKernel);
  EQUAL(classes([](EventFields& e) { e.branch_sample_type = PERF_SAMPLE_BRANCH_USER; }), kUser);
}

TEST(
    "a breakpoint outside of user space needs the kernel class, by its start, its end or an "
    "overflow") {
  const auto breakpoint = [](uint64_t address, uint64_t length) {
    Request r = valid();
    r.events[1].type = PERF_TYPE_BREAKPOINT;
    r.events[1].bp_type = 1;
    r.events[1].config1 = address;
    r.events[1].config2 = length;
    return classes_of(r) & ~uint32_t{kUser};
  };
  EQUAL(breakpoint(0x400000, 8), kBreakpoint);
  EQUAL(breakpoint(0xffff800000000000, 8), kBreakpoint | kKernel);
  EQUAL(breakpoint((1ull << 56) - 4, 8), kBreakpoint | kKernel);
  EQUAL(breakpoint(0x400000, ~0ull), kBreakpoint | kKernel);
  EQUAL(breakpoint(~0ull, 8), kBreakpoint | kKernel);
}

TEST("system and cgroup targets need the system-wide class") {
  Request r = valid();
  r.target = TargetKind::kSystem;
  EQUAL(classes_of(r), kUser | kSystemWide);
  r.target = TargetKind::kCgroup;
  EQUAL(classes_of(r), kUser | kSystemWide);
}

TEST("the PMU of an event is that of its type, or that of the upper half of a generalised config") {
  EventFields event{};
  for (const uint32_t type : {0u, 1u, 2u, 3u, 4u, 5u}) {
    event.type = type;
    event.config = 0;
    EQUAL(dynamic_pmu(event), 0u);
    event.config = uint64_t{9} << 32 | 1;
    const bool generalised = type == PERF_TYPE_HARDWARE || type == PERF_TYPE_HW_CACHE;
    EQUAL(dynamic_pmu(event), generalised ? 9u : 0u);
    event.config = uint64_t{PERF_TYPE_RAW} << 32 | 1;  // not a dynamic one
    EQUAL(dynamic_pmu(event), 0u);
  }
  event.type = 9;
  EQUAL(dynamic_pmu(event), 9u);
}
