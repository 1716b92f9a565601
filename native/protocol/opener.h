// The conversation between the broker (no privilege) and the opener (one capability).
//
// The broker sends the opener one end of a SOCK_SEQPACKET socketpair for each of its clients'
// requests: a channel (core/workers.h). A worker process takes it, and serves what comes on it
// until the broker closes its end. Every message on a channel is one packet of one fixed size, in
// host byte order, and every field has a checked range. A worker keeps no state between messages
// but the rings that it maps in advance. src/broker/opener_protocol.ts mirrors this file; a test
// compares the two through the offsets that `dist/native/protocol-layout` prints, so neither can
// change alone.
#pragma once

#include <cstdint>

namespace perfbroker::protocol {

inline constexpr uint32_t kVersion = 1;
// kMaxEvents: in one request; also the largest event group. kMaxSlots: SCM_MAX_FD
// (include/net/scm.h), fds in one message.
inline constexpr uint32_t kMaxEvents = 16, kMaxSlots = 253;
// Rings mapped in advance: of one worker, and their bytes of all workers together.
inline constexpr uint64_t kMaxRings = 1024, kMaxPremapBytes = 256ull << 20;
inline constexpr uint32_t kMaxRingPages = kMaxPremapBytes / 4096;
inline constexpr int32_t kMaxCpu = 65535;
inline constexpr uint16_t kNoLeader = 0xffff;

// ---- requests
// -------------------------------------------------------------------------------------------------

// kOpen: fds: the client's connection; then the target's pidfd or cgroup directory unless
// system-wide. kRelease: fds: none. Unmaps the rings that request `serial` of this channel mapped
// in advance.
enum class RequestType : uint32_t { kOpen = 1, kRelease = 2 };

// kProcess: one thread group, pinned by a pidfd; slots name its threads.
// kSystem: every task on the slots' cpus.
// kCgroup: every task of a cgroup (a directory fd of a cgroup file system) on the slots' cpus.
enum class TargetKind : uint32_t { kProcess = 1, kSystem = 2, kCgroup = 3 };

// The fields of perf_event_attr that exist here. The opener builds the kernel's struct from them
// and from nothing else. type: PERF_TYPE_* or a dynamic PMU's number. wakeup: events, or bytes with
// kWatermark. config1, config2: bp_addr, bp_len for PERF_TYPE_BREAKPOINT. sample_period: period, or
// Hz with kFreq; 0 counts. sample_type: PERF_SAMPLE_*. read_format: PERF_FORMAT_*.
// branch_sample_type: PERF_SAMPLE_BRANCH_*. flags: EventFlag bits. sample_stack_user: bytes, a
// multiple of 8, at most 65,528. bp_type: HW_BREAKPOINT_*. clockid: with kUseClockid.
// sample_max_stack: frames. precise_ip: 0..3. reserved, here and below: 0.
struct EventFields {
  uint32_t type, wakeup;
  uint64_t config, config1, config2, config3;
  uint64_t sample_period, sample_type, read_format, branch_sample_type, sample_regs_user,
      sample_regs_intr, flags;
  uint32_t sample_stack_user, bp_type;
  int32_t clockid;
  uint16_t sample_max_stack;
  uint8_t precise_ip, reserved;
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

// What the broker saw of the target when it decided. The opener compares it before and after the
// open. start_time: clock ticks since boot, field 22 of /proc/PID/stat. uid, gid: real, effective,
// saved. permitted: capability bits. dumpable: 1: /proc/PID/status belongs to the task's effective
// ids; 0: it does not. Of /proc/PID itself the owner tells nothing: it is always the effective ids
// (task_dump_owner, fs/proc/base.c).
struct Identity {
  uint64_t start_time;
  uint32_t uid[3], gid[3];
  uint64_t permitted;
  uint32_t dumpable, reserved;
};

// tid: thread of the target, in the opener's pid namespace; -1 for system and cgroup targets. cpu:
// -1: any. event: index into events. leader: index of an earlier slot of this request that leads
// the group, or kNoLeader.
struct Slot {
  int32_t tid, cpu;
  uint16_t event, leader;
};

// version: kVersion. serial: chosen by the broker, not 0, returned in the reply. ring_pages: data
// pages to map in advance on each slot that has 1 in premap; a power of two; 0: none. expected: all
// zero unless target is kProcess.
struct Request {
  uint32_t version;
  RequestType type;
  uint32_t serial;
  TargetKind target;
  uint32_t event_count, slot_count, ring_pages, reserved;
  Identity expected;
  EventFields events[kMaxEvents];
  Slot slots[kMaxSlots];
  uint8_t premap[kMaxSlots], reserved2[3];
};

// ---- replies
// --------------------------------------------------------------------------------------------------

// kOpened: every slot with errno 0 has its fd attached, in slot order.
// kCeiling: `detail` holds the ceiling classes (bits of Ceiling) that are missing.
// kNotSameUser: the kernel's own ptrace read check would refuse; `detail` holds a Mismatch.
// kTargetGone: the pidfd's process has ended.
// kTargetChanged: identity differs from `expected`, before or after the open; `detail` holds a
// Mismatch. kBadClient: the connection is not one that was accepted on our socket. kBadTarget: the
// fd is no pidfd of a process, or no cgroup directory. kOpenFailed: the kernel refused: errnos in
// slot_errno, no fd handed over. kMapFailed: mapping a ring in advance failed: `detail` holds the
// errno.
enum class Status : uint32_t {
  kOpened = 0,
  kCeiling = 1,
  kNotSameUser = 2,
  kTargetGone = 3,
  kTargetChanged = 4,
  kBadClient = 5,
  kBadTarget = 6,
  kOpenFailed = 7,
  kMapFailed = 8,
  kReleased = 9,
};

// Bits. kMismatchThread: a thread of the target differs from what its process may be, in what the
// other bits say.
enum Mismatch : uint32_t {
  kMismatchStartTime = 1u << 0,
  kMismatchUid = 1u << 1,
  kMismatchGid = 1u << 2,
  kMismatchCapabilities = 1u << 3,
  kMismatchDumpable = 1u << 4,
  kMismatchUserNamespace = 1u << 5,
  kMismatchThread = 1u << 6,
};

// fd_count: fds attached to this message. slot_count: as in the request. slot_errno: 0: opened;
// else why not. ESRCH for a thread that ended meanwhile is the only one that stands beside fds
// (kOpened).
struct Reply {
  uint32_t version, serial;
  Status status;
  uint32_t detail, fd_count, slot_count;
  uint16_t slot_errno[kMaxSlots], reserved;
};

// ---- the ceiling
// ----------------------------------------------------------------------------------------------

// Which classes of events exist at all in this daemon, fixed at start (`--ceiling`), enforced by
// the opener. Names on the command line: user raw breakpoint tracepoint kernel other-users
// system-wide all. user: software, hardware and cache events, user side, on processes the client
// could ptrace-read. raw: PERF_TYPE_RAW and dynamic PMUs (never kprobe and uprobe: their config
// holds pointers). breakpoint, tracepoint: the PERF_TYPE_ of that name. kernel: the kernel side: no
// exclude_kernel, physical addresses, interrupt registers, kernel symbols. other-users: targets
// that the client itself could not ptrace-read. system-wide: system and cgroup targets.
enum Ceiling : uint32_t {
  kUser = 1u << 0,
  kRaw = 1u << 1,
  kBreakpoint = 1u << 2,
  kTracepoint = 1u << 3,
  kKernel = 1u << 4,
  kOtherUsers = 1u << 5,
  kSystemWide = 1u << 6,
  kAllClasses = (1u << 7) - 1,
};

}  // namespace perfbroker::protocol
