#include "tracer/downgrade.h"

#include <sys/time.h>

#include "core/caps.h"
#include "core/client.h"
#include "tracer/inject.h"
#include "tracer/refuse.h"

namespace perfbroker {

using namespace tracer_protocol;

namespace {

// Time limit for all changes. The target stays stopped until they are made, because half a
// downgrade is useless. Only a thread that gets no cpu can reach this limit.
constexpr int64_t kChangeTime = 1'000'000;  // microseconds

ThreadResult results[kMaxThreads];
pid_t tids[kMaxThreads];

// The capability sets that count: the bounding set gives nothing by itself.
bool is_downgraded(const TaskStatus& s, const Order& order) {
  const uint64_t held =
      s.caps[kInheritable] | s.caps[kPermitted] | s.caps[kEffective] | s.caps[kAmbient];
  return (held & order.drop) == 0 && (!order.no_new_privs || s.no_new_privs != 0);
}

// Blocking calls end at the deadline and, as the signal may come just before one begins, again and
// again after it.
void set_timer(uint32_t ms) {
  constexpr suseconds_t again = 2000;
  const itimerval timer{
      {0, ms == 0 ? 0 : again}, {ms / 1000, static_cast<suseconds_t>(ms % 1000) * 1000}};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

class Downgrade {
 public:
  Downgrade(int proc_dir, const Process& process, const Order& order)
      : proc_dir_(proc_dir),
        process_(process),
        order_(order),
        tasks_(openat(
            process.directory.get(), "task", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) {}

  Outcome run() {
    if (!look() || order_.dry_run) return finished();
    const int64_t begin = now_us();
    const int64_t deadline = begin + int64_t{order_.deadline} * 1000;
    set_timer(order_.deadline);
    outcome_.status = threads_.stop_all(tasks_.get(), deadline);
    outcome_.tid = threads_.tid();
    outcome_.detail = threads_.detail();
    if (outcome_.status == Status::kDowngraded && examine() && ready(deadline)) change();
    release(threads_.all());
    set_timer(0);
    outcome_.stopped = static_cast<uint32_t>(std::min<int64_t>(now_us() - begin, UINT32_MAX));
    if (outcome_.status == Status::kDowngraded) verify();
    return finished();
  }

 private:
  bool end(Status status, uint32_t detail, pid_t tid) {
    outcome_.status = status;
    outcome_.detail = detail;
    outcome_.tid = tid;
    return false;
  }

  bool refuse(Refusal refusal, pid_t tid) {
    return refusal == Refusal::kNone || end(Status::kRefused, static_cast<uint32_t>(refusal), tid);
  }

  // Before anything is touched.
  bool look() {
    if (!refuse(refuse_process(proc_dir_, process_), process_.pid)) return false;
    const int count = list_tasks(tasks_.get(), tids);
    if (count < 0) return end(errno == E2BIG ? Status::kTooManyThreads : Status::kTargetGone, 0, 0);
    for (const pid_t tid : std::span(tids, static_cast<size_t>(count))) {
      ThreadFacts facts;
      if (!read_facts(tasks_.get(), tid, facts) || facts.ended()) continue;
      if (!refuse(refuse_thread(facts), tid)) return false;
      if (!order_.dry_run) continue;
      TaskStatus would = facts.status;
      for (const CapSet set : {kInheritable, kPermitted, kEffective, kAmbient})
        would.caps[set] &= ~order_.drop;
      would.no_new_privs |= order_.no_new_privs ? 1 : 0;
      add_result(tid, facts.status, would, 0);
    }
    outcome_.status = Status::kDowngraded;
    return true;
  }

  // All threads are stopped and unchanged: their status cannot change until this process acts.
  bool examine() {
    protocol::Identity identity;
    if (!read_identity(process_.directory.get(), identity)) return end(Status::kTargetGone, 0, 0);
    if (const uint32_t mismatch = identity_mismatch(identity, order_.expected))
      return end(Status::kTargetChanged, mismatch, 0);
    for (Thread& thread : threads_.all()) {
      ThreadFacts facts;
      if (!read_facts(tasks_.get(), thread.tid, facts))
        return end(Status::kTargetGone, 0, 0);  // SIGKILL, for all
      thread.had = facts.status;
      if (!refuse(refuse_thread(facts), thread.tid)) return false;
      if (const int error = read_registers(thread)) {
        return error == ENOEXEC ? refuse(Refusal::kCompat, thread.tid)
                                : end(Status::kTargetGone, 0, 0);
      }
      if (check_dispatch(thread) != 0) return refuse(Refusal::kSeccomp, thread.tid);
    }
    return true;
  }

  // Everything that can fail without harm, up to the first call.
  bool ready(int64_t deadline) {
    call_address_ = find_syscall(threads_.all(), tasks_.get());
    if (call_address_ == 0) return refuse(Refusal::kNoSyscall, 0);
    for (Thread& thread : threads_.all()) {
      if (is_downgraded(thread.had, order_)) continue;
      // capset(2) narrows the ambient set by itself to what stays both permitted and inheritable.
      unsigned char scratch[kScratchSize] = {};
      const auto kept = [&](CapSet set) { return thread.had.caps[set] & ~order_.drop; };
      const CapsetArguments arguments =
          pack_caps({kept(kEffective), kept(kPermitted), kept(kInheritable)});
      static_assert(sizeof arguments <= kScratchSize);
      memcpy(scratch, &arguments, sizeof arguments);
      if (const int error = prepare(thread, scratch))
        return end(Status::kSystemError, static_cast<uint32_t>(error), thread.tid);
    }
    return now_us() < deadline || end(Status::kDeadline, 0, 0);
  }

  void change() {
    const int64_t deadline = now_us() + kChangeTime;
    if (order_.drop != 0) {
      call_each(threads_.all(), call_address_, deadline, [](const Thread& thread) {
        return Call{SYS_capset,
            {thread.scratch, thread.scratch + offsetof(CapsetArguments, data), 0, 0, 0}};
      });
    }
    if (order_.no_new_privs) {
      call_each(threads_.all(), call_address_, deadline, [](const Thread&) {
        return Call{SYS_prctl, {PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0}};
      });
    }
  }

  // By /proc alone, regardless of the results of the calls. Includes threads that were born since.
  void verify() {
    const int count = list_tasks(tasks_.get(), tids);
    if (count < 0 && errno != E2BIG) {
      end(Status::kTargetGone, 0, 0);
      return;
    }
    bool failed = count < 0;
    for (const pid_t tid : std::span(tids, static_cast<size_t>(std::max(count, 0)))) {
      ThreadFacts facts;
      if (!read_facts(tasks_.get(), tid, facts) || facts.ended()) continue;
      const Thread* thread = threads_.find(tid);
      const bool kept = !is_downgraded(facts.status, order_);
      if (thread == nullptr && !kept) continue;
      failed |= kept;
      const int error = thread != nullptr ? thread->error : 0;
      add_result(tid, thread != nullptr ? thread->had : facts.status, facts.status,
          kept && error == 0 ? EAGAIN : error);
    }
    if (failed) end(Status::kFailed, 0, 0);
  }

  void add_result(pid_t tid, const TaskStatus& had, const TaskStatus& has, int error) {
    if (count_ == std::size(results)) return;
    ThreadResult& result = results[count_++];
    result = {tid, static_cast<uint32_t>(error), has.no_new_privs, 0, {}, {}};
    memcpy(result.had, had.caps, sizeof result.had);
    memcpy(result.has, has.caps, sizeof result.has);
  }

  Outcome finished() {
    const bool complete =
        outcome_.status == Status::kDowngraded || outcome_.status == Status::kFailed;
    outcome_.results = {results, complete ? count_ : 0};
    return outcome_;
  }

  const int proc_dir_;
  const Process& process_;
  const Order& order_;
  const UniqueFd tasks_;
  static Threads threads_;
  uint64_t call_address_ = 0;
  size_t count_ = 0;
  Outcome outcome_{};
};

Threads Downgrade::threads_;

}  // namespace

Outcome downgrade(int proc_dir, const Process& process, const Order& order) {
  return Downgrade(proc_dir, process, order).run();
}

}  // namespace perfbroker
