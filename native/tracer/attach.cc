#include "tracer/attach.h"

#include <sys/ptrace.h>
#include <time.h>

namespace perfbroker {

using tracer_protocol::Refusal;
using tracer_protocol::Status;

bool read_facts(int task_dir, pid_t tid, ThreadFacts& facts) {
  char path[32];
  snprintf(path, sizeof path, "%d/status", tid);
  std::string_view text;
  if (!read_file(task_dir, path, text)) return false;
  std::string_view head = text;
  const std::string_view state = take_line(head, "State:\t");
  facts.state = state.empty() ? '?' : state[0];
  errno = EPROTO;
  return take_field(head, "PPid:", &facts.parent, 1) &&
         take_field(head, "TracerPid:", &facts.tracer, 1) && parse_status(text, facts.status);
}

int64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

Stop wait_for(Thread& thread, int64_t deadline, int& signal) {
  int status = 0;
  while (waitpid(thread.tid, &status, __WALL) != thread.tid) {
    if (errno == EINTR && (deadline == 0 || now_us() < deadline)) continue;
    if (errno == EINTR) return Stop::kLate;
    // ECHILD: another thread has executed a program, which took this one's place.
    thread.state = ThreadState::kGone;
    return Stop::kGone;
  }
  thread.state = WIFSTOPPED(status) ? ThreadState::kStopped : ThreadState::kGone;
  if (!WIFSTOPPED(status)) return Stop::kGone;
  signal = WSTOPSIG(status);
  if (status >> 16 == PTRACE_EVENT_STOP) return Stop::kEvent;
  return signal == (SIGTRAP | 0x80) ? Stop::kSyscall : Stop::kSignal;  // PTRACE_O_TRACESYSGOOD
}

bool resume(Thread& thread, long request, int signal) {
  const auto which = static_cast<__ptrace_request>(request);
  if (ptrace(which, thread.tid, nullptr, static_cast<intptr_t>(signal)) != 0) return false;
  thread.state = ThreadState::kRunning;
  return true;
}

bool await_event(Thread& thread, int64_t deadline) {
  for (int signal = 0;;) {
    const Stop stop = wait_for(thread, deadline, signal);
    if (stop == Stop::kEvent) return true;
    if (stop == Stop::kGone || stop == Stop::kLate) return false;
    // While a thread is changed its signals are blocked: except for SIGSTOP, one can only come from
    // the change itself.
    const bool deliver = stop == Stop::kSignal && (!thread.changed || signal == SIGSTOP);
    // A thread that cannot go on has been killed: the next wait reports it.
    resume(thread, PTRACE_CONT, deliver ? signal : 0);
  }
}

Thread* Threads::find(pid_t tid) {
  // The list of /proc keeps its order: the next one asked for mostly is the next one here.
  for (size_t i = 0; i < count_; i++, hint_++) {
    if (hint_ >= count_) hint_ = 0;
    if (threads_[hint_].tid == tid) return &threads_[hint_++];
  }
  return nullptr;
}

Status Threads::fail(Status status, pid_t tid, uint32_t detail) {
  tid_ = tid;
  detail_ = detail;
  return status;
}

Status Threads::attach(int task_dir, pid_t tid) {
  if (ptrace(PTRACE_SEIZE, tid, nullptr, PTRACE_O_TRACESYSGOOD) != 0) {
    const int error = errno;
    ThreadFacts facts;
    if (error == ESRCH || !read_facts(task_dir, tid, facts) || facts.ended())
      return Status::kDowngraded;  // it is ending
    // Ours: by executing a program it took the number of the leader, which is gone.
    if (facts.tracer != getpid()) {
      return fail(Status::kRefused, tid,
          static_cast<uint32_t>(facts.tracer != 0 ? Refusal::kTraced : Refusal::kNotPermitted));
    }
  }
  if (count_ == std::size(threads_)) return fail(Status::kTooManyThreads, tid, 0);
  threads_[count_] = {};
  threads_[count_++].tid = tid;
  ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr);  // ESRCH: the wait reports its end
  return Status::kDowngraded;
}

Status Threads::attach_new(int task_dir, int64_t deadline, bool& any) {
  static pid_t tids[tracer_protocol::kMaxThreads];
  const int listed = list_tasks(task_dir, tids);
  if (listed < 0) {
    return errno == E2BIG ? fail(Status::kTooManyThreads, 0, 0) : fail(Status::kTargetGone, 0, 0);
  }
  const size_t known = count_;
  for (const pid_t tid : std::span(tids, static_cast<size_t>(listed))) {
    if (find(tid) != nullptr) continue;
    if (const Status status = attach(task_dir, tid); status != Status::kDowngraded) return status;
  }
  any = count_ > known;
  for (Thread& thread : std::span(threads_ + known, count_ - known)) {
    if (!await_event(thread, deadline) && thread.state != ThreadState::kGone)
      return fail(Status::kDeadline, thread.tid, 0);
  }
  count_ =
      static_cast<size_t>(std::remove_if(threads_ + known, threads_ + count_, [](const Thread& t) {
        return t.state == ThreadState::kGone;
      }) - threads_);
  return Status::kDowngraded;
}

Status Threads::stop_all(int task_dir, int64_t deadline) {
  // A thread that has stopped starts no others. The last of two scans in a row that find nothing
  // new ran while all stood still; a single one may have missed a thread while another one was
  // ending.
  for (int quiet = 0; quiet < 2;) {
    bool any = false;
    if (const Status status = attach_new(task_dir, deadline, any); status != Status::kDowngraded)
      return status;
    quiet = any ? 0 : quiet + 1;
    if (now_us() >= deadline) return fail(Status::kDeadline, 0, 0);
  }
  return count_ > 0 ? Status::kDowngraded : Status::kTargetGone;
}

}  // namespace perfbroker
