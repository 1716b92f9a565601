// The conversation between the collector (no privilege, the client) and the launcher, which waits
// to become CMD.
//
// A SOCK_SEQPACKET socketpair; every message is one packet of one fixed size, in host byte order.
// src/collector/launcher_protocol.ts mirrors this file; the assertions below keep either from
// changing alone.
//
// After kReady the launcher executes CMD. End of stream says that it did; a Reply with an errno,
// that it could not, or with kMisplaced as its value, that CMD runs and the file of -o could not be
// given its name.
#pragma once

#include <cstddef>

#include "protocol/opener.h"

namespace perfbroker::launch {

inline constexpr uint32_t kVersion = 1, kMaxEvents = protocol::kMaxEvents,
                          kMaxSlots = protocol::kMaxSlots;
inline constexpr size_t kTextBytes = 2052;

// kOpenEvents: events x cpus on the launcher itself, from its exec on; only where there is no
// broker. At most kMaxSlots, cpu by cpu. kTracepoint: the number of the tracepoint that `text`
// names. kOutput: the file of -o, created. kScratch: a file without a name beside it. kReady: CMD
// may run. kFailed: nothing will be recorded; `text` says why, and `exit_code` what to exit with
// when that is fatal.
enum class Type : uint32_t {
  kOpenEvents = 1,
  kTracepoint = 2,
  kOutput = 3,
  kScratch = 4,
  kReady = 5,
  kFailed = 6
};

// leaders: index of the earlier event that leads the group, or protocol::kNoLeader. cpus: -1: any.
// ring_pages: data pages of the ring that the collector is going to map on each cpu's first event;
// 0: none. text: ends with NUL.
struct Request {
  uint32_t version;
  Type type;
  uint32_t event_count, cpu_count, ring_pages, exit_code;
  protocol::EventFields events[kMaxEvents];
  uint16_t leaders[kMaxEvents];
  int32_t cpus[kMaxSlots];
  char text[kTextBytes];
};

inline constexpr uint32_t kMisplaced = 1;

// error: errno, 0: done. value: of kTracepoint, or kMisplaced. failed: the event that was refused.
// fd_count: fds that come along.
struct Reply {
  uint32_t version, error, value, failed, fd_count;
};

static_assert(sizeof(Request) == 4912 && offsetof(Request, events) == 24 &&
              offsetof(Request, leaders) == 1816 && offsetof(Request, cpus) == 1848 &&
              offsetof(Request, text) == 2860 && sizeof(Reply) == 20);

}  // namespace perfbroker::launch
