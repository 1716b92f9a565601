#include "tracer/registers.h"

namespace perfbroker {

#if defined(__x86_64__)

uint64_t stack_pointer(const Registers& r) { return r.rsp; }

uint64_t own_call_address(const Registers& r) {
  return static_cast<int64_t>(r.orig_rax) >= 0 ? r.rip - sizeof kSyscallCode : 0;
}

void set_call(Registers& r, uint64_t address, const Call& call) {
  r.rip = address;
  r.rax = static_cast<uint64_t>(call.number);
  r.orig_rax = ~uint64_t{0};  // keeps the kernel from restarting this as an interrupted system call
  r.rdi = call.arguments[0];
  r.rsi = call.arguments[1];
  r.rdx = call.arguments[2];
  r.r10 = call.arguments[3];
  r.r8 = call.arguments[4];
}

int64_t call_result(const Registers& r) { return static_cast<int64_t>(r.rax); }

bool hide_interruption(Registers& r) {
  constexpr int64_t restart_no_handler = -514;  // -ERESTARTNOHAND, include/linux/errno.h
  constexpr int64_t calls[] = {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_semop,
      SYS_semtimedop, SYS_rt_sigtimedwait, SYS_io_getevents, SYS_io_pgetevents, SYS_read, SYS_readv,
      SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_accept, SYS_accept4, SYS_sendto, SYS_sendmsg};
  const auto call = static_cast<int64_t>(r.orig_rax);
  if (call_result(r) != -EINTR || std::ranges::find(calls, call) == std::end(calls)) return false;
  r.rax = static_cast<uint64_t>(restart_no_handler);
  return true;
}

#elif defined(__aarch64__)

uint64_t stack_pointer(const Registers& r) { return r.sp; }

// The kernel has moved pc back to the instruction already when it restarts a call.
uint64_t own_call_address(const Registers& r) { return r.pc; }

void set_call(Registers& r, uint64_t address, const Call& call) {
  r.pc = address;
  r.pstate &= ~(uint64_t{3} << 10);  // BTYPE: no branch led here
  r.regs[8] = static_cast<uint64_t>(call.number);
  for (size_t i = 0; i < std::size(call.arguments); i++) r.regs[i] = call.arguments[i];
}

int64_t call_result(const Registers& r) { return static_cast<int64_t>(r.regs[0]); }

// The result overwrites the first argument, which is lost: such a call cannot be restarted.
bool hide_interruption(Registers&) { return false; }

#endif

}  // namespace perfbroker
