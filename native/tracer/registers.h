// The differences between the architectures: registers, and where and how a system call is made.
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
#elif defined(__aarch64__)
inline constexpr unsigned char kSyscallCode[] = {0x01, 0x00, 0x00, 0xd4};  // svc #0
#else
#error "the tracer knows x86-64 and aarch64"
#endif

// Bytes below the stack pointer that a function may use, System V ABI. AAPCS64 has none, but other
// conventions may.
inline constexpr uint64_t kRedZone = 128;

uint64_t stack_pointer(const Registers& r);

// The address at which a thread inside a system call made it. 0 for another thread, where that is
// visible.
uint64_t own_call_address(const Registers& r);

void set_call(Registers& r, uint64_t address, const Call& call);

int64_t call_result(const Registers& r);

// Some calls answer an interruption with EINTR though no handler ran (signal(7)). Where EINTR
// certainly means that nothing has happened yet, replaces it by the error that restarts the call,
// and that becomes EINTR again when a handler does run. A relative timeout begins again. True when
// `r` has changed.
bool hide_interruption(Registers& r);

}  // namespace perfbroker
