// Prints the layout and the constants of protocol.h as JSON, for the test that compares
// src/broker/opener_protocol.ts.
#include <cstddef>
#include <cstdio>

#include "protocol/opener.h"

using namespace perfbroker::protocol;

namespace {

bool first_member = true;

void separate() {
  if (!first_member) printf(",");
  first_member = false;
}

void begin(const char* name) {
  separate();
  printf("\n  \"%s\": {", name);
  first_member = true;
}

void end() {
  printf("\n  }");
  first_member = false;
}

void number(const char* name, unsigned long long value) {
  separate();
  printf("\n    \"%s\": %llu", name, value);
}

void field(const char* name, size_t offset, size_t size) {
  separate();
  printf("\n    \"%s\": {\"offset\": %zu, \"size\": %zu}", name, offset, size);
}

}  // namespace

#define STRUCT(type) begin(#type), field("sizeof", 0, sizeof(type))
#define FIELD(type, name) field(#name, offsetof(type, name), sizeof(type::name))
#define NUMBER(name) number(#name, static_cast<unsigned long long>(name))
#define MEMBER(type, name) number(#name, static_cast<unsigned long long>(type::name))

int main() {
  printf("{");
  begin("constants");
  NUMBER(kVersion);
  NUMBER(kMaxEvents);
  NUMBER(kMaxSlots);
  NUMBER(kMaxRings);
  NUMBER(kMaxPremapBytes);
  NUMBER(kNoLeader);
  end();

  STRUCT(EventFields);
  FIELD(EventFields, type);
  FIELD(EventFields, wakeup);
  FIELD(EventFields, config);
  FIELD(EventFields, config1);
  FIELD(EventFields, config2);
  FIELD(EventFields, config3);
  FIELD(EventFields, sample_period);
  FIELD(EventFields, sample_type);
  FIELD(EventFields, read_format);
  FIELD(EventFields, branch_sample_type);
  FIELD(EventFields, sample_regs_user);
  FIELD(EventFields, sample_regs_intr);
  FIELD(EventFields, flags);
  FIELD(EventFields, sample_stack_user);
  FIELD(EventFields, bp_type);
  FIELD(EventFields, clockid);
  FIELD(EventFields, sample_max_stack);
  FIELD(EventFields, precise_ip);
  FIELD(EventFields, reserved);
  end();

  STRUCT(Identity);
  FIELD(Identity, start_time);
  FIELD(Identity, uid);
  FIELD(Identity, gid);
  FIELD(Identity, permitted);
  FIELD(Identity, dumpable);
  FIELD(Identity, reserved);
  end();

  STRUCT(Slot);
  FIELD(Slot, tid);
  FIELD(Slot, cpu);
  FIELD(Slot, event);
  FIELD(Slot, leader);
  end();

  STRUCT(Request);
  FIELD(Request, version);
  FIELD(Request, type);
  FIELD(Request, serial);
  FIELD(Request, target);
  FIELD(Request, event_count);
  FIELD(Request, slot_count);
  FIELD(Request, ring_pages);
  FIELD(Request, reserved);
  FIELD(Request, expected);
  FIELD(Request, events);
  FIELD(Request, slots);
  FIELD(Request, premap);
  FIELD(Request, reserved2);
  end();

  STRUCT(Reply);
  FIELD(Reply, version);
  FIELD(Reply, serial);
  FIELD(Reply, status);
  FIELD(Reply, detail);
  FIELD(Reply, fd_count);
  FIELD(Reply, slot_count);
  FIELD(Reply, slot_errno);
  FIELD(Reply, reserved);
  end();

  begin("RequestType");
  MEMBER(RequestType, kOpen);
  MEMBER(RequestType, kRelease);
  end();

  begin("TargetKind");
  MEMBER(TargetKind, kProcess);
  MEMBER(TargetKind, kSystem);
  MEMBER(TargetKind, kCgroup);
  end();

  begin("EventFlag");
  NUMBER(kInherit);
  NUMBER(kPinned);
  NUMBER(kExclusive);
  NUMBER(kExcludeUser);
  NUMBER(kExcludeKernel);
  NUMBER(kExcludeHv);
  NUMBER(kExcludeIdle);
  NUMBER(kExcludeHost);
  NUMBER(kExcludeGuest);
  NUMBER(kExcludeCallchainKernel);
  NUMBER(kExcludeCallchainUser);
  NUMBER(kMmap);
  NUMBER(kMmapData);
  NUMBER(kMmap2);
  NUMBER(kBuildId);
  NUMBER(kComm);
  NUMBER(kCommExec);
  NUMBER(kTask);
  NUMBER(kContextSwitch);
  NUMBER(kNamespaces);
  NUMBER(kKsymbol);
  NUMBER(kBpfEvent);
  NUMBER(kCgroup);
  NUMBER(kTextPoke);
  NUMBER(kFreq);
  NUMBER(kInheritStat);
  NUMBER(kInheritThread);
  NUMBER(kEnableOnExec);
  NUMBER(kRemoveOnExec);
  NUMBER(kWatermark);
  NUMBER(kSampleIdAll);
  NUMBER(kUseClockid);
  NUMBER(kWriteBackward);
  NUMBER(kAllEventFlags);
  end();

  begin("Status");
  MEMBER(Status, kOpened);
  MEMBER(Status, kCeiling);
  MEMBER(Status, kNotSameUser);
  MEMBER(Status, kTargetGone);
  MEMBER(Status, kTargetChanged);
  MEMBER(Status, kBadClient);
  MEMBER(Status, kBadTarget);
  MEMBER(Status, kOpenFailed);
  MEMBER(Status, kMapFailed);
  MEMBER(Status, kReleased);
  end();

  begin("Mismatch");
  NUMBER(kMismatchStartTime);
  NUMBER(kMismatchUid);
  NUMBER(kMismatchGid);
  NUMBER(kMismatchCapabilities);
  NUMBER(kMismatchDumpable);
  NUMBER(kMismatchUserNamespace);
  NUMBER(kMismatchThread);
  end();

  begin("Ceiling");
  NUMBER(kUser);
  NUMBER(kRaw);
  NUMBER(kBreakpoint);
  NUMBER(kTracepoint);
  NUMBER(kKernel);
  NUMBER(kOtherUsers);
  NUMBER(kSystemWide);
  NUMBER(kAllClasses);
  end();
  printf("\n}\n");
  return 0;
}
