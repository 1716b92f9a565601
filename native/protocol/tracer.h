// The conversation between the broker (no privilege) and the tracer (CAP_SYS_PTRACE).
//
// As protocol/opener.h: a channel for each request, packets of fixed sizes in host byte order, and
// every field has a checked range. src/common/native_messages.ts is generated from this file.
#pragma once

#include "protocol/opener.h"

namespace perfbroker::tracer_protocol {

inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kMaxThreads = 4096;     // of one process; with more it is refused
inline constexpr uint32_t kThreadsPerReply = 64;  // more come in further messages
inline constexpr uint32_t kMaxDeadline = 10'000;  // ms

enum Flag : uint32_t {
  kNoNewPrivs = 1u << 0,  // set it in every thread, so that no execve(2) restores a capability
  kDryRun = 1u << 1,      // look and reply without stopping anything: `has` is a prediction
  kAllFlags = (1u << 2) - 1,
};

// fds: the client's connection; the target's pidfd.
struct Request {
  uint32_t version;             // kVersion
  uint32_t serial;              // chosen by the broker, not 0; returned in the reply
  uint32_t flags;               // Flag bits
  uint32_t deadline;            // ms to stand still before the first change; 1..kMaxDeadline
  uint64_t drop;                // capability bits; 0 only with kNoNewPrivs
  protocol::Identity expected;  // the target that the broker decided upon
};

// Every status from kRefused on means that nothing was changed.
enum class Status : uint32_t {
  kReady = 0,       // serial 0, once, at the start
  kDowngraded = 1,  // every thread, proven from /proc afterwards. Dry run: no obstacle was found
  kFailed = 2,      // some thread kept something (see its result); no dropped privilege comes back
  kRefused = 3,     // `detail`: a Refusal; `tid`: the thread concerned
  kTargetGone = 4,  // this and the next four as the opener's; `detail`: Mismatch bits
  kTargetChanged = 5,
  kBadClient = 6,
  kBadTarget = 7,
  kNotSameUser = 8,
  kDeadline = 9,         // thread `tid` did not stop in time
  kTooManyThreads = 10,  // more than kMaxThreads
  kSystemError = 11,     // `detail`: the errno of a system call
};

enum class Refusal : uint32_t {
  kNone = 0,
  kInit = 1,
  kAncestor = 2,
  kKernelThread = 3,
  kTraced = 4,
  kSeccomp = 5,
  kCompat = 6,
  kNotPermitted = 7,  // by the kernel (Yama's ptrace_scope 3, another security module)
  kNoSyscall = 8,     // no system call instruction was found in its address space
};

struct ThreadResult {
  int32_t tid;
  uint32_t error;         // errno of the failure in this thread; 0: none
  uint32_t no_new_privs;  // afterwards
  uint32_t reserved;
  // Capability bits by perfbroker::CapSet: inheritable, permitted, effective, bounding, ambient.
  uint64_t had[5], has[5];
};

struct Reply {
  uint32_t version;
  uint32_t serial;
  Status status;
  uint32_t detail;
  int32_t tid;
  uint32_t stopped;       // microseconds from the first thread's stop until the last one runs on
  uint32_t thread_count;  // results in all messages of this reply
  uint32_t first,
      count;  // of those in this message; the last one has first + count == thread_count
  uint32_t reserved;
  ThreadResult threads[kThreadsPerReply];
};

}  // namespace perfbroker::tracer_protocol
