// System calls in the name of stopped threads, and putting the threads back as they were.
#pragma once

#include "tracer/attach.h"

namespace perfbroker {

// PTRACE_GETREGSET; 0 or errno. ENOEXEC: the thread runs code of another architecture (32 bits).
int read_registers(Thread& thread);

// What an injected call relies on besides registers: EPERM when the thread has its calls dispatched
// to itself (PR_SET_SYSCALL_USER_DISPATCH), where an injected one would end in its SIGSYS handler.
int check_dispatch(const Thread& thread);

// An address in the process at which a system call instruction lies: where one of the threads is in
// a call, else in the vdso. 0: none.
uint64_t find_syscall(std::span<Thread> threads, int task_dir);

// Keeps what is going to be changed in a thread whose registers have been read, blocks its signals
// and writes `scratch` below its stack. 0 or errno: then nothing was changed.
int prepare(Thread& thread, std::span<const unsigned char, kScratchSize> scratch);

// One call in each prepared thread that has no error yet, in all of them side by side. `make`: the
// call for a thread. What fails is in each thread's `error`. `deadline`: for one that does not get
// to run (a frozen cgroup).
template <typename Make>
void call_each(std::span<Thread> threads, uint64_t address, int64_t deadline, Make make);

// Puts every changed thread back (as long as that takes: with others' registers none may run on),
// and detaches all that have stopped.
void release(std::span<Thread> threads);

// The two halves of call_each for one thread: sets it going; and follows it to the end of the call.
bool begin_call(Thread& thread, uint64_t address, const Call& call);
void pass_entry(Thread& thread, int64_t deadline);
void finish_call(Thread& thread, int64_t deadline);

template <typename Make>
void call_each(std::span<Thread> threads, uint64_t address, int64_t deadline, Make make) {
  const auto each = [&](auto step) {
    for (Thread& thread : threads) {
      if (thread.changed && thread.error == 0 && thread.state != ThreadState::kGone) step(thread);
    }
  };
  each([&](Thread& thread) { begin_call(thread, address, make(thread)); });
  each([&](Thread& thread) { pass_entry(thread, deadline); });
  each([&](Thread& thread) { finish_call(thread, deadline); });
}

}  // namespace perfbroker
