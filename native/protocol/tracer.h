// The conversation between the broker (no privilege) and the tracer (CAP_SYS_PTRACE).
//
// As protocol/opener.h: a channel for each request, packets of fixed sizes in host byte order,
// every field with a checked range. src/broker/tracer_protocol.ts mirrors this file; a test
// compares the two through the offsets that the compiler gives (test/tools/tracer_layout.cc).
#pragma once

#include "protocol/opener.h"

namespace perfbroker::tracer_protocol {

inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kMaxThreads = 4096;     // of one process; with more it is refused
inline constexpr uint32_t kThreadsPerReply = 64;  // more come in further messages
inline constexpr uint32_t kMaxDeadline = 10'000;  // ms

// kNoNewPrivs: set it in every thread, so that no execve(2) gives back what was taken.
// kDryRun: look and answer, without stopping anything: `has` is what would be.
enum Flag : uint32_t { kNoNewPrivs = 1u << 0, kDryRun = 1u << 1, kAllFlags = (1u << 2) - 1 };

// fds: the client's connection; the target's pidfd.
struct Request {
  uint32_t version;             // kVersion
  uint32_t serial;              // chosen by the broker, not 0; returned in the reply
  uint32_t flags;               // Flag bits
  uint32_t deadline;            // ms that the target may stand still before its first thread is
                                // changed; 1..kMaxDeadline
  uint64_t drop;                // capability bits; 0 only with kNoNewPrivs
  protocol::Identity expected;  // what the broker decided upon
};

// kReady: serial 0, once, at the start.
// kDowngraded: every thread, proven from /proc afterwards. Of a dry run: nothing speaks against it.
// kFailed: some thread kept something, its result says why; nothing that was taken comes back.
// Nothing was changed by:
// kRefused: `detail` holds a Refusal, `tid` the thread that it is about.
// kTargetGone, kTargetChanged, kBadClient, kBadTarget, kNotSameUser: as the opener's; `detail`
// holds Mismatch bits. kDeadline: thread `tid` did not stop in time. kTooManyThreads: more than
// kMaxThreads. kSystemError: `detail` holds the errno of a system call.
enum class Status : uint32_t {
  kReady = 0,
  kDowngraded = 1,
  kFailed = 2,
  kRefused = 3,
  kTargetGone = 4,
  kTargetChanged = 5,
  kBadClient = 6,
  kBadTarget = 7,
  kNotSameUser = 8,
  kDeadline = 9,
  kTooManyThreads = 10,
  kSystemError = 11,
};

// kNotPermitted: the kernel refuses to trace it (Yama's ptrace_scope 3, another security module).
// kNoSyscall: nothing in its address space executes a system call.
enum class Refusal : uint32_t {
  kNone = 0,
  kInit = 1,
  kAncestor = 2,
  kKernelThread = 3,
  kTraced = 4,
  kSeccomp = 5,
  kCompat = 6,
  kNotPermitted = 7,
  kNoSyscall = 8,
};

// Capability bits by perfbroker::CapSet: inheritable, permitted, effective, bounding, ambient.
struct ThreadResult {
  int32_t tid;
  uint32_t error;         // errno of what failed in this thread; 0: nothing did
  uint32_t no_new_privs;  // afterwards
  uint32_t reserved;
  uint64_t had[5], has[5];
};

struct Reply {
  uint32_t version;
  uint32_t serial;
  Status status;
  uint32_t detail;
  int32_t tid;
  uint32_t stopped;  // microseconds between the first thread's stop and the last one's going on
  uint32_t thread_count;  // results in all messages of this reply
  uint32_t first,
      count;  // of those in this message; the last one has first + count == thread_count
  uint32_t reserved;
  ThreadResult threads[kThreadsPerReply];
};

}  // namespace perfbroker::tracer_protocol
