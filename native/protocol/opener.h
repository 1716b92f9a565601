// The conversation between the broker (no privilege) and the opener (one capability).
//
// For each request of a client the broker sends the opener one end of a SOCK_SEQPACKET socketpair,
// a channel (core/workers.h). A worker process takes it, and serves its messages until the broker
// closes the other end. Every message on a channel is one packet of one fixed size, in host byte
// order, and every field has a checked range. A worker keeps no state between messages, except the
// rings that it maps in advance. src/common/native_messages.ts is generated from this file.
#pragma once

#include <cstdint>

namespace perfbroker::protocol {

inline constexpr uint32_t kVersion = 1;
// kMaxEvents: in one request; also the largest event group. kMaxSlots: fds in one message
// (SCM_MAX_FD, include/net/scm.h).
inline constexpr uint32_t kMaxEvents = 16, kMaxSlots = 253;
// Rings mapped in advance: their number in one worker, and their bytes in all workers together.
inline constexpr uint64_t kMaxRings = 1024, kMaxPremapBytes = 256ull << 20;
inline constexpr uint32_t kMaxRingPages = kMaxPremapBytes / 4096;
inline constexpr int32_t kMaxCpu = 65535;
inline constexpr uint16_t kNoLeader = 0xffff;

// Requests

enum class RequestType : uint32_t {
  // fds: the client's connection; then the target's pidfd or cgroup directory unless system-wide.
  kOpen = 1,
  // fds: none. Unmaps the rings that request `serial` of this channel mapped in advance.
  kRelease = 2,
};

enum class TargetKind : uint32_t {
  kProcess = 1,  // one thread group, pinned by a pidfd; slots name its threads
  kSystem = 2,   // every task on the slots' cpus
  kCgroup = 3,   // every task of a cgroup (a directory fd of a cgroup file system) on these cpus
};

// The fields of perf_event_attr that exist here. The opener builds the kernel's struct from these
// fields alone. `reserved` fields are 0, here and below.
struct EventFields {
  uint32_t type;    // PERF_TYPE_* or a dynamic PMU's number
  uint32_t wakeup;  // events, or bytes with kWatermark
  uint64_t config;
  uint64_t config1, config2;  // bp_addr, bp_len for PERF_TYPE_BREAKPOINT
  uint64_t config3;
  uint64_t sample_period;       // period, or Hz with kFreq; 0 counts
  uint64_t sample_type;         // PERF_SAMPLE_*
  uint64_t read_format;         // PERF_FORMAT_*
  uint64_t branch_sample_type;  // PERF_SAMPLE_BRANCH_*
  uint64_t sample_regs_user, sample_regs_intr;
  uint64_t flags;              // EventFlag bits
  uint32_t sample_stack_user;  // bytes, a multiple of 8, at most 65,528
  uint32_t bp_type;            // HW_BREAKPOINT_*
  int32_t clockid;             // with kUseClockid
  uint16_t sample_max_stack;   // frames
  uint8_t precise_ip;          // 0..3
  uint8_t reserved;
};

// Bits of EventFields::flags. `disabled` is not among them: every event opens disabled.
enum EventFlag : uint64_t {
  kInherit = 1ull << 0,
  kPinned = 1ull << 1,
  kExclusive = 1ull << 2,
  kExcludeUser = 1ull << 3,
  kExcludeKernel = 1ull << 4,
  kExcludeHv = 1ull << 5,
  kExcludeIdle = 1ull << 6,
  kExcludeHost = 1ull << 7,
  kExcludeGuest = 1ull << 8,
  kExcludeCallchainKernel = 1ull << 9,
  kExcludeCallchainUser = 1ull << 10,
  kMmap = 1ull << 11,
  kMmapData = 1ull << 12,
  kMmap2 = 1ull << 13,
  kBuildId = 1ull << 14,
  kComm = 1ull << 15,
  kCommExec = 1ull << 16,
  kTask = 1ull << 17,
  kContextSwitch = 1ull << 18,
  kNamespaces = 1ull << 19,
  kKsymbol = 1ull << 20,
  kBpfEvent = 1ull << 21,
  kCgroup = 1ull << 22,
  kTextPoke = 1ull << 23,
  kFreq = 1ull << 24,
  kInheritStat = 1ull << 25,
  kInheritThread = 1ull << 26,
  kEnableOnExec = 1ull << 27,
  kRemoveOnExec = 1ull << 28,
  kWatermark = 1ull << 29,
  kSampleIdAll = 1ull << 30,
  kUseClockid = 1ull << 31,
  kWriteBackward = 1ull << 32,
  kAllEventFlags = (1ull << 33) - 1,
};

// The target as the broker saw it when it decided. The opener compares it before and after the
// open.
struct Identity {
  uint64_t start_time;      // clock ticks since boot, field 22 of /proc/PID/stat
  uint32_t uid[3], gid[3];  // real, effective, saved
  uint64_t permitted;       // capability bits
  // 1: /proc/PID/status belongs to the task's effective ids. 0: it does not. The owner of /proc/PID
  // itself is always the effective ids (task_dump_owner, fs/proc/base.c).
  uint32_t dumpable;
  uint32_t reserved;
};

struct Slot {
  int32_t tid;      // thread of the target, in the opener's pid namespace; -1 for other targets
  int32_t cpu;      // -1: any
  uint16_t event;   // index into events
  uint16_t leader;  // index of an earlier slot of this request that leads the group, or kNoLeader
};

struct Request {
  uint32_t version;  // kVersion
  RequestType type;
  uint32_t serial;  // chosen by the broker, not 0; returned in the reply
  TargetKind target;
  uint32_t event_count, slot_count;
  uint32_t
      ring_pages;  // data pages to map in advance for each slot in premap, a power of two; or 0
  uint32_t reserved;
  Identity expected;  // zeros unless target is kProcess
  EventFields events[kMaxEvents];
  Slot slots[kMaxSlots];
  uint8_t premap[kMaxSlots];  // 1: map a ring in advance
  uint8_t reserved2[3];
};

// Replies

enum class Status : uint32_t {
  kOpened = 0,         // every slot with errno 0 has its fd attached, in slot order
  kCeiling = 1,        // `detail`: the missing ceiling classes (bits of Ceiling)
  kNotSameUser = 2,    // the kernel's own ptrace read check would refuse; `detail`: Mismatch bits
  kTargetGone = 3,     // the pidfd's process has ended
  kTargetChanged = 4,  // identity differs from `expected`, before or after; `detail`: Mismatch bits
  kBadClient = 5,      // the connection is not one that was accepted on our socket
  kBadTarget = 6,      // the fd is not a pidfd of a process, or not a cgroup directory
  kOpenFailed = 7,     // the kernel refused: errnos in slot_errno, and no fds
  kMapFailed = 8,      // mapping a ring in advance failed; `detail`: errno
  kReleased = 9,
};

enum Mismatch : uint32_t {
  kMismatchStartTime = 1u << 0,
  kMismatchUid = 1u << 1,
  kMismatchGid = 1u << 2,
  kMismatchCapabilities = 1u << 3,
  kMismatchDumpable = 1u << 4,
  kMismatchUserNamespace = 1u << 5,
  kMismatchThread = 1u << 6,  // a thread differs from its process in the other bits' respect
};

struct Reply {
  uint32_t version, serial;
  Status status;
  uint32_t detail;
  uint32_t fd_count;    // fds attached to this message
  uint32_t slot_count;  // as in the request
  // 0: opened; otherwise the reason. Beside fds (kOpened) only ESRCH appears, for threads that
  // ended in the meantime.
  uint16_t slot_errno[kMaxSlots];
  uint16_t reserved;
};

// The ceiling: the classes of events that may exist in this daemon at all. `--ceiling` fixes it at
// start, and the opener enforces it. Names on the command line: user raw breakpoint tracepoint
// kernel other-users system-wide all.
enum Ceiling : uint32_t {
  // Software, hardware and cache events, user mode, on processes that the client could ptrace-read.
  kUser = 1u << 0,
  // PERF_TYPE_RAW and dynamic PMUs. Never kprobe and uprobe, whose config holds pointers.
  kRaw = 1u << 1,
  kBreakpoint = 1u << 2,
  kTracepoint = 1u << 3,
  // Kernel mode: no exclude_kernel, physical addresses, interrupt registers, kernel symbols.
  kKernel = 1u << 4,
  // Targets that the client itself could not ptrace-read.
  kOtherUsers = 1u << 5,
  // System and cgroup targets.
  kSystemWide = 1u << 6,
  kAllClasses = (1u << 7) - 1,
};

}  // namespace perfbroker::protocol
