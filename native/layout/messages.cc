// Prints src/common/native_messages.ts: sizes, byte offsets and numbers of all messages, as the
// compiler lays them out.
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

#include "protocol/launcher.h"
#include "protocol/opener.h"
#include "protocol/tracer.h"

using namespace perfbroker;

namespace {

struct Entry {
  const char* name;
  unsigned long long number;

  template <typename T>
  Entry(const char* entry_name, T value)
      : name(entry_name), number(static_cast<unsigned long long>(value)) {}
};

// A group without a name belongs to the constant itself.
struct Group {
  const char* name;
  std::vector<Entry> entries;
};

void print_entry(const char* indent, const Entry& entry) {
  const char* quote = strchr(entry.name, '-') != nullptr ? "'" : "";
  printf("%s%s%s%s: %llu,\n", indent, quote, entry.name, quote, entry.number);
}

void print_constant(const char* comment, const char* name, const std::vector<Group>& groups) {
  printf("\n/** %s */\nexport const %s = {\n", comment, name);
  for (const Group& group : groups) {
    if (group.name != nullptr) printf("  %s: {\n", group.name);
    for (const Entry& entry : group.entries)
      print_entry(group.name != nullptr ? "    " : "  ", entry);
    if (group.name != nullptr) printf("  },\n");
  }
  printf("} as const;\n");
}

#define SIZE(type) \
  { "size", sizeof(type) }
#define AT(type, field) \
  { #field, offsetof(type, field) }

void print_event() {
  using E = protocol::EventFields;
  print_constant("The struct EventFields.", "EVENT",
      {{nullptr, {SIZE(E), AT(E, type), AT(E, wakeup), AT(E, config), AT(E, config1),
                     AT(E, config2), AT(E, config3), AT(E, sample_period), AT(E, sample_type),
                     AT(E, read_format), AT(E, branch_sample_type), AT(E, sample_regs_user),
                     AT(E, sample_regs_intr), AT(E, flags), AT(E, sample_stack_user),
                     AT(E, bp_type), AT(E, clockid), AT(E, sample_max_stack), AT(E, precise_ip)}}});
}

void print_opener() {
  using namespace protocol;
  print_constant("Messages to and from the opener. `mismatches`: bit numbers.", "OPENER",
      {{nullptr, {{"version", kVersion}, {"maxEvents", kMaxEvents}, {"maxSlots", kMaxSlots},
                     {"maxRings", kMaxRings}, {"maxPremapBytes", kMaxPremapBytes},
                     {"noLeader", kNoLeader}}},
          {"requestTypes", {{"open", RequestType::kOpen}, {"release", RequestType::kRelease}}},
          {"targetKinds", {{"process", TargetKind::kProcess}, {"system", TargetKind::kSystem},
                              {"cgroup", TargetKind::kCgroup}}},
          {"statuses",
              {{"opened", Status::kOpened}, {"ceiling", Status::kCeiling},
                  {"not-same-user", Status::kNotSameUser}, {"target-gone", Status::kTargetGone},
                  {"target-changed", Status::kTargetChanged}, {"bad-client", Status::kBadClient},
                  {"bad-target", Status::kBadTarget}, {"open-failed", Status::kOpenFailed},
                  {"map-failed", Status::kMapFailed}, {"released", Status::kReleased}}},
          {"mismatches",
              {{"start-time", __builtin_ctz(kMismatchStartTime)},
                  {"uid", __builtin_ctz(kMismatchUid)}, {"gid", __builtin_ctz(kMismatchGid)},
                  {"capabilities", __builtin_ctz(kMismatchCapabilities)},
                  {"not-dumpable", __builtin_ctz(kMismatchDumpable)},
                  {"user-namespace", __builtin_ctz(kMismatchUserNamespace)},
                  {"thread", __builtin_ctz(kMismatchThread)}}},
          {"request", {SIZE(Request), AT(Request, version), AT(Request, type), AT(Request, serial),
                          AT(Request, target), AT(Request, event_count), AT(Request, slot_count),
                          AT(Request, ring_pages), AT(Request, expected), AT(Request, events),
                          AT(Request, slots), AT(Request, premap)}},
          {"identity", {SIZE(Identity), AT(Identity, start_time), AT(Identity, uid),
                           AT(Identity, gid), AT(Identity, permitted), AT(Identity, dumpable)}},
          {"slot", {SIZE(Slot), AT(Slot, tid), AT(Slot, cpu), AT(Slot, event), AT(Slot, leader)}},
          {"reply", {SIZE(Reply), AT(Reply, version), AT(Reply, serial), AT(Reply, status),
                        AT(Reply, detail), AT(Reply, fd_count), AT(Reply, slot_count),
                        AT(Reply, slot_errno)}}});
}

void print_tracer() {
  using namespace tracer_protocol;
  print_constant("Messages to and from the tracer.", "TRACER",
      {{nullptr, {{"version", kVersion}, {"maxThreads", kMaxThreads},
                     {"threadsPerReply", kThreadsPerReply}, {"maxDeadline", kMaxDeadline}}},
          {"flags", {{"noNewPrivs", kNoNewPrivs}, {"dryRun", kDryRun}}},
          {"statuses",
              {{"ready", Status::kReady}, {"downgraded", Status::kDowngraded},
                  {"failed", Status::kFailed}, {"refused", Status::kRefused},
                  {"target-gone", Status::kTargetGone}, {"target-changed", Status::kTargetChanged},
                  {"bad-client", Status::kBadClient}, {"bad-target", Status::kBadTarget},
                  {"not-same-user", Status::kNotSameUser}, {"deadline", Status::kDeadline},
                  {"too-many-threads", Status::kTooManyThreads},
                  {"system-error", Status::kSystemError}}},
          {"refusals",
              {{"none", Refusal::kNone}, {"init", Refusal::kInit}, {"ancestor", Refusal::kAncestor},
                  {"kernel-thread", Refusal::kKernelThread}, {"already-traced", Refusal::kTraced},
                  {"seccomp", Refusal::kSeccomp}, {"compat", Refusal::kCompat},
                  {"not-permitted", Refusal::kNotPermitted}, {"no-syscall", Refusal::kNoSyscall}}},
          {"request", {SIZE(Request), AT(Request, version), AT(Request, serial), AT(Request, flags),
                          AT(Request, deadline), AT(Request, drop), AT(Request, expected)}},
          {"thread",
              {SIZE(ThreadResult), AT(ThreadResult, tid), AT(ThreadResult, error),
                  AT(ThreadResult, no_new_privs), AT(ThreadResult, had), AT(ThreadResult, has)}},
          {"reply",
              {SIZE(Reply), AT(Reply, version), AT(Reply, serial), AT(Reply, status),
                  AT(Reply, detail), AT(Reply, tid), AT(Reply, stopped), AT(Reply, thread_count),
                  AT(Reply, first), AT(Reply, count), AT(Reply, threads)}}});
}

void print_launcher() {
  using namespace launch;
  print_constant("Messages to and from the launcher.", "LAUNCHER",
      {{nullptr, {{"version", kVersion}, {"maxEvents", kMaxEvents}, {"maxSlots", kMaxSlots},
                     {"misplaced", kMisplaced}}},
          {"types", {{"openEvents", Type::kOpenEvents}, {"tracepoint", Type::kTracepoint},
                        {"output", Type::kOutput}, {"scratch", Type::kScratch},
                        {"ready", Type::kReady}, {"failed", Type::kFailed}}},
          {"request",
              {SIZE(Request), AT(Request, version), AT(Request, type), AT(Request, event_count),
                  AT(Request, cpu_count), AT(Request, ring_pages), AT(Request, exit_code),
                  AT(Request, events), AT(Request, leaders), AT(Request, cpus), AT(Request, text)}},
          {"reply", {SIZE(Reply), AT(Reply, version), AT(Reply, error), AT(Reply, value),
                        AT(Reply, failed), AT(Reply, fd_count)}}});
}

void print_parent() {
  using namespace parent;
  print_constant("Messages to and from the parent of CMD.", "PARENT",
      {{nullptr, {{"version", kVersion}}},
          {"types", {{"start", Type::kStart}, {"startTimer", Type::kStartTimer},
                        {"release", Type::kRelease}, {"terminate", Type::kTerminate},
                        {"started", Type::kStarted}, {"failed", Type::kFailed},
                        {"executed", Type::kExecuted}, {"exited", Type::kExited}}},
          {"message",
              {SIZE(Message), AT(Message, version), AT(Message, type), AT(Message, value)}}});
}

}  // namespace

int main() {
  printf(
      "/**\n"
      " * Generated from native/protocol by native/layout/messages.cc. Do not edit:\n"
      " *   make -s -C native messages >src/common/native_messages.ts\n"
      " * Sizes, byte offsets and numbers of the messages between the programs. The structs have "
      "no hidden padding.\n"
      " */\n");
  print_event();
  print_opener();
  print_tracer();
  print_launcher();
  print_parent();
  return 0;
}
