// System calls in the name of stopped threads, and the restoration of these threads.
#pragma once

#include "tracer/attach.h"

namespace perfbroker {

// PTRACE_GETREGSET; 0 or errno. ENOEXEC: the thread runs code of another architecture (32 bits).
int read_registers(Thread& thread);

// Checks the condition of an injected call besides registers: EPERM when the thread has its calls
// dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH), where an injected one would end in its
// SIGSYS handler.
int check_dispatch(const Thread& thread);

// Finds the address of a system call instruction in the process: where one of the threads is inside
// a call, else in the vdso. 0: none.
uint64_t find_syscall(std::span<Thread> threads, int task_dir);

// Prepares a thread whose registers have been read: saves everything that will change, blocks its
// signals and writes `scratch` below its stack. 0, or an errno: `changed` shows whether release()
// has something to restore.
int prepare(Thread& thread, std::span<const unsigned char, kScratchSize> scratch);

// Makes one call in each prepared thread that has no error yet, in all of them side by side.
// `make`: returns the call for a thread. Failures go to each thread's `error`. `deadline`: for a
// thread that does not get to run (a frozen cgroup).
template <typename Make>
void call_each(std::span<Thread> threads, uint64_t address, int64_t deadline, Make make);

// Restores every changed thread, however long that takes, as none may run on with foreign
// registers. Then detaches all threads that have stopped.
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
