// The workers of a helper process: the requests of a session run in a process of their own. Calls
// such as perf_event_open(2), ptrace(2) and munmap(2) of a ring can wait for a lock that a client's
// task holds, as long as that task likes; no signal ends such a wait. So they run where nothing
// else is served.
#pragma once

#include <atomic>

#include "core/linux.h"
#include "core/scm.h"

namespace perfbroker {

// Exit codes of a worker. kEnded: the broker has closed its end. kMalformed: a message that only a
// compromised broker sends.
enum class WorkerExit : int { kServed = 0, kMalformed = 9, kEnded = 10 };

class Workers {
 public:
  // A worker costs some 100 KiB. One user has at most 32 (MAX_WORKERS_PER_USER in
  // src/broker/helper_client.ts).
  static constexpr size_t kMost = 1024;

  // Before the system call filter, which knows neither call. `most`: workers that may exist at a
  // time, up to kMost.
  explicit Workers(size_t most);

  // Keeps workers waiting. Returns true in each worker, which has to take one channel from the
  // helper's socket. Returns false in the helper itself, when the broker has closed its end or is
  // compromised; `exit_code` says which.
  bool dispatch();
  int exit_code() const { return exit_code_; }

  // Worker: takes a channel from the helper's socket, which it closes: a packet of one byte with
  // one fd. Anything else is malformed. The helper itself never holds an fd that a client sent or
  // is to get: if its close(2) were the last, the helper would wait for the client's task.
  WorkerExit take_channel(int socket, UniqueFd& channel);

  // Worker: the exit code for it to end with. A malformed message is reported to the helper before
  // the broker can notice.
  int leave(WorkerExit how);

  // Worker: counts memory towards a limit of all workers together, until it gives it back or ends.
  // False, and nothing is counted, above `limit`.
  bool reserve(uint64_t bytes, uint64_t limit);
  void give_back(uint64_t bytes);

 private:
  // Latency: the next channel mostly comes while a worker for the one after it is being forked.
  static constexpr size_t kWaiting = 2;

  static constexpr uint16_t kMalformedReport = 0xffff;

  enum class State : uint8_t { kFree, kWaiting, kBusy };
  // Shared memory: what each worker has reserved. The helper clears it when the worker has ended.
  struct Reserved {
    std::atomic<uint64_t> of[kMost];
  };

  bool fork_missing();
  void report(uint16_t number);
  void note_reports();
  bool reap();
  bool ended(size_t worker, int status);

  const size_t most_;
  sigset_t while_waiting_;
  int reports_[2] = {-1, -1};  // a pipe: numbers of workers that have taken a channel, two bytes
                               // each, or kMalformedReport
  int lifeline_[2] = {
      -1, -1};  // a pipe whose writing end only the helper has: workers that wait end with it
  Reserved* reserved_ = nullptr;
  State states_[kMost] = {};
  pid_t pids_[kMost] = {};
  size_t waiting_ = 0, self_ = 0;
  int exit_code_ = 0;
};

// Until the broker has sent something or closed its end.
void await_input(int channel);

}  // namespace perfbroker
