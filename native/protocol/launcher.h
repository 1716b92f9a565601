// The conversation between the collector (no privilege, the client) and the launcher, which waits
// to become CMD.
//
// A SOCK_SEQPACKET socketpair. Every message is one packet of one fixed size, in host byte order.
// src/common/native_messages.ts is generated from this file.
//
// After kReady the launcher executes CMD. End of stream means that it did. A Reply with an errno
// means that it could not, or, with kMisplaced as its value, that CMD runs and the file of -o could
// not be given its name.
#pragma once

#include "protocol/opener.h"

namespace perfbroker::launch {

inline constexpr uint32_t kVersion = 1;
inline constexpr uint32_t kMaxEvents = protocol::kMaxEvents, kMaxSlots = protocol::kMaxSlots;
inline constexpr uint32_t kTextBytes = 2052;

enum class Type : uint32_t {
  // Events x cpus on the launcher itself, from its exec on; only where there is no broker. At most
  // kMaxSlots, cpu by cpu.
  kOpenEvents = 1,
  kTracepoint = 2,  // the number of the tracepoint in `text`
  kOutput = 3,      // the file of -o, created
  kScratch = 4,     // a file without a name in the same directory
  kReady = 5,       // CMD may run
  kFailed = 6,  // nothing will be recorded; `text`: the reason; `exit_code`: where that is fatal
};

struct Request {
  uint32_t version;
  Type type;
  uint32_t event_count, cpu_count;
  uint32_t ring_pages;  // data pages of the ring that the collector maps on each cpu's first event
  uint32_t exit_code;
  protocol::EventFields events[kMaxEvents];
  uint16_t leaders[kMaxEvents];  // index of the earlier event that leads the group, or kNoLeader
  int32_t cpus[kMaxSlots];       // -1: any
  char text[kTextBytes];         // ends with NUL
};

inline constexpr uint32_t kMisplaced = 1;

struct Reply {
  uint32_t version;
  uint32_t error;     // errno; 0: done
  uint32_t value;     // of kTracepoint, or kMisplaced
  uint32_t failed;    // index of the event that was refused
  uint32_t fd_count;  // fds attached to this message
};

}  // namespace perfbroker::launch

// The conversation between the collector of `record` and `stat` and the process that started it,
// which is the parent of CMD: that process forks CMD, so that CMD inherits nothing of node, and
// waits for it. Also a SOCK_SEQPACKET socketpair; every packet is one Message.
namespace perfbroker::parent {

inline constexpr uint32_t kVersion = 1;

enum class Type : uint32_t {
  // To the parent.
  kStart = 1,   // fork CMD, which is measured; `value`: its index among the parent's arguments
  kStartTimer,  // the same for a CMD that only sets the duration
  kRelease,     // CMD may run
  kTerminate,   // SIGTERM to CMD; if it still waits at its gate, it never runs
  // From the parent.
  kStarted,   // `value`: the pid of CMD, which waits at its gate
  kFailed,    // `value`: errno of the attempt to start it
  kExecuted,  // `value`: 0, or errno of the exec
  kExited,    // `value`: exit code, 128 + N for signal N
};

struct Message {
  uint32_t version;
  Type type;
  uint32_t value;
};

}  // namespace perfbroker::parent
