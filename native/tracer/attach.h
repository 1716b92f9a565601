// Stopping every thread of a process, ptrace(2): by PTRACE_SEIZE and PTRACE_INTERRUPT, which send
// no signal.
#pragma once

#include "core/proc.h"
#include "protocol/tracer.h"
#include "tracer/registers.h"

namespace perfbroker {

// A thread in /proc/PID/task/TID/status.
struct ThreadFacts {
  char state;  // proc(5): Z and X have ended
  pid_t parent, tracer;
  TaskStatus status;
  bool ended() const { return state == 'Z' || state == 'X'; }
};

// `task_dir`: /proc/PID/task. False with ENOENT or ESRCH when there is no such thread any more.
bool read_facts(int task_dir, pid_t tid, ThreadFacts& facts);

// CLOCK_MONOTONIC, microseconds.
int64_t now_us();

enum class ThreadState : uint8_t { kRunning, kStopped, kGone };

// A system call's memory operands, in the target: capset(2)'s header and data. A place below the
// stack that is restored before any thread runs again.
inline constexpr size_t kScratchSize = 32;

struct Thread {
  pid_t tid;
  ThreadState state;
  bool changed;  // registers and signal mask are not the thread's own: it must not run on with them
  int error;     // errno; 0: nothing failed
  TaskStatus had;
  Registers registers;  // its own
  uint64_t signal_mask;
  uint64_t scratch;  // address; 0: none
  unsigned char scratch_saved[kScratchSize];
  uint64_t sequence_field,
      sequence;  // rseq(2): address of its rseq_cs, and what that held; 0: none
};

// The result of a wait for one thread. kSignal: about to be delivered.
enum class Stop { kEvent, kSyscall, kSignal, kGone, kLate };

// The threads of one process. When this program ends, the kernel releases every attached thread
// unchanged. Threads that cannot be stopped are detached in this way, so each request has a process
// of its own.
class Threads {
 public:
  // Stops all of them, also those born in the meantime. kDowngraded means success; otherwise tid()
  // and detail() describe the failure. `deadline`: by now_us(); the interval timer must be running,
  // which ends blocking calls.
  tracer_protocol::Status stop_all(int task_dir, int64_t deadline);

  std::span<Thread> all() { return {threads_, count_}; }
  Thread* find(pid_t tid);
  pid_t tid() const { return tid_; }
  uint32_t detail() const { return detail_; }

 private:
  tracer_protocol::Status attach_new(int task_dir, int64_t deadline, bool& any);
  tracer_protocol::Status attach(int task_dir, pid_t tid);
  tracer_protocol::Status fail(tracer_protocol::Status status, pid_t tid, uint32_t detail);

  Thread threads_[tracer_protocol::kMaxThreads];
  size_t count_ = 0, hint_ = 0;
  pid_t tid_ = 0;
  uint32_t detail_ = 0;
};

// Waits for one thread's next stop. `deadline` 0: as long as it takes.
Stop wait_for(Thread& thread, int64_t deadline, int& signal);

// Continues a stopped thread. False when it has been killed in the meantime.
bool resume(Thread& thread, long request, int signal);

// Continues the thread to a stop such as INTERRUPT causes. From there the kernel completes the
// interrupted call as if nothing had happened. False: kGone, or the deadline (kRunning).
bool await_event(Thread& thread, int64_t deadline);

}  // namespace perfbroker
