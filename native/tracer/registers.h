// What is different between the architectures: registers, and where and how a system call is made.
#pragma once

#include <sys/user.h>

#include "core/linux.h"

namespace perfbroker {

using Registers = user_regs_struct;

struct Call {
  long number;
  uint64_t arguments[5];
};

#if defined(__x86_64__)

inline constexpr unsigned char kSyscallCode[] = {0x0f, 0x05};
inline constexpr uint64_t kRedZone =
    128;  // bytes below the stack pointer that a function may use, System V ABI

inline uint64_t stack_pointer(const Registers& r) { return r.rsp; }

// Where a thread that stands in a system call made it; 0 for one that stands elsewhere.
inline uint64_t own_call_address(const Registers& r) {
  return static_cast<int64_t>(r.orig_rax) >= 0 ? r.rip - sizeof kSyscallCode : 0;
}

inline void set_call(Registers& r, uint64_t address, const Call& call) {
  r.rip = address;
  r.rax = static_cast<uint64_t>(call.number);
  r.orig_rax =
      ~uint64_t{0};  // so that the kernel does not take this for a system call to be restarted
  r.rdi = call.arguments[0];
  r.rsi = call.arguments[1];
  r.rdx = call.arguments[2];
  r.r10 = call.arguments[3];
  r.r8 = call.arguments[4];
}

inline int64_t call_result(const Registers& r) { return static_cast<int64_t>(r.rax); }

// Some calls answer an interruption with EINTR though no handler ran (signal(7)). Where EINTR
// certainly means that nothing has happened yet, the error that restarts the call, and is EINTR
// again when a handler does run, takes its place. A relative timeout starts anew.
inline bool hide_interruption(Registers& r) {
  constexpr int64_t restart_no_handler = -514;  // -ERESTARTNOHAND, include/linux/errno.h
  constexpr int64_t calls[] = {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_semop,
      SYS_semtimedop, SYS_rt_sigtimedwait, SYS_io_getevents, SYS_io_pgetevents, SYS_read, SYS_readv,
      SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_accept, SYS_accept4, SYS_sendto, SYS_sendmsg};
  if (call_result(r) != -EINTR ||
      std::ranges::find(calls, static_cast<int64_t>(r.orig_rax)) == std::end(calls))
    return false;
  r.rax = static_cast<uint64_t>(restart_no_handler);
  return true;
}

#elif defined(__aarch64__)

inline constexpr unsigned char kSyscallCode[] = {0x01, 0x00, 0x00, 0xd4};  // svc #0
inline constexpr uint64_t kRedZone = 128;  // AAPCS64 has none; others may

inline uint64_t stack_pointer(const Registers& r) { return r.sp; }

// The kernel has moved pc back to the instruction already when it restarts a call.
inline uint64_t own_call_address(const Registers& r) { return r.pc; }

inline void set_call(Registers& r, uint64_t address, const Call& call) {
  r.pc = address;
  r.pstate &= ~(uint64_t{3} << 10);  // BTYPE: no branch led here
  r.regs[8] = static_cast<uint64_t>(call.number);
  for (size_t i = 0; i < std::size(call.arguments); i++) r.regs[i] = call.arguments[i];
}

inline int64_t call_result(const Registers& r) { return static_cast<int64_t>(r.regs[0]); }

// The first argument is overwritten by the result and nothing shows it any more: such a call can
// not be restarted.
inline bool hide_interruption(Registers&) { return false; }

#else
#error "the tracer knows x86-64 and aarch64"
#endif

}  // namespace perfbroker
