// The workers of a helper process (opener, tracer): each serves the requests of one session in a
// process of its own. Calls such as perf_event_open(2), ptrace(2) and munmap(2) of a ring can wait
// for a lock that a client's task holds, for as long as that task likes, and no signal ends such a
// wait. So they run where no other session waits for them.
#pragma once

#include <atomic>
#include <optional>

#include "core/client.h"
#include "core/log.h"
#include "core/scm.h"

namespace perfbroker {

// Given to a helper process. socket: its end of the SEQPACKET socketpair with the broker; in a
// worker its channel. proc_dir: /proc, O_PATH. listener: the broker's.
struct HelperConfig {
  int socket = -1, proc_dir = -1;
  SocketAddress listener{};
};

// Exit codes of a worker. kEnded: the broker has closed its end. kMalformed: a message that only a
// compromised broker sends.
enum class WorkerExit : int { kServed = 0, kMalformed = 9, kEnded = 10 };

class Workers {
 public:
  // A worker costs some 100 KiB. One user has at most 32 (MAX_WORKERS_PER_USER in
  // src/broker/ipc/helper_client.ts).
  static constexpr size_t kMost = 1024;

  // Call it before the system call filter is installed, which allows none of its calls. `most`:
  // workers that may exist at a time, up to kMost.
  explicit Workers(size_t most);

  // False when the constructor failed, with errno.
  explicit operator bool() const { return reserved_ != nullptr; }

  // Keeps workers waiting until the broker closes its end of `socket` or proves to be compromised.
  // Each worker takes one channel from the socket and calls serve(channel), which returns a
  // WorkerExit. Returns the exit code of the process, in a worker as well.
  template <typename Serve>
  int run(int socket, Serve serve);

  // Worker: counts memory towards a limit of all workers together, until the worker releases it or
  // ends. False above `limit`: nothing is counted then.
  bool reserve(uint64_t bytes, uint64_t limit);
  void release(uint64_t bytes);

 private:
  // Latency: the next channel mostly comes while a worker for the one after it is being forked.
  static constexpr size_t kWaiting = 2;

  static constexpr uint16_t kMalformedReport = 0xffff;

  enum class State : uint8_t { kFree, kWaiting, kBusy };
  // Shared memory: the bytes that each worker has reserved. The helper clears an entry when its
  // worker has ended.
  struct Reserved {
    std::atomic<uint64_t> of[kMost];
  };

  bool dispatch();
  bool fork_missing();
  WorkerExit take_channel(int socket, UniqueFd& channel);
  void report(uint16_t number);
  void note_reports();
  bool reap();
  bool ended(size_t worker, int status);

  const size_t most_;
  sigset_t while_waiting_;
  // A pipe: the two-byte numbers of workers that have taken a channel, or kMalformedReport.
  int reports_[2] = {-1, -1};
  // A pipe whose writing end only the helper has: waiting workers end with it.
  int lifeline_[2] = {-1, -1};
  Reserved* reserved_ = nullptr;
  State states_[kMost] = {};
  pid_t pids_[kMost] = {};
  size_t waiting_ = 0, self_ = 0;
  int exit_code_ = 0;
};

// Returns when the broker has sent something or closed its end.
void await_input(int channel);

// Receives one request of a worker's channel. Empty: it is well-formed. Otherwise the worker has to
// end, with this code. find_malformation(request, number of fds): null, or a name for the fault.
template <typename Request>
std::optional<WorkerExit> receive_request(int channel, const char* helper, Request& request,
    std::span<UniqueFd> fds, const char* (*find_malformation)(const Request&, size_t)) {
  const std::optional<Received> received =
      receive_message(channel, &request, sizeof request, fds, 0);
  if (received ? received->bytes == 0 : errno == ECONNRESET) return WorkerExit::kServed;
  const bool whole = received && received->bytes == sizeof request && !received->truncated;
  const char* malformed =
      whole ? find_malformation(request, received->fd_count) : "size or number of fds";
  if (malformed == nullptr) return {};
  log_error(
      "the %s got a malformed request (%s): its broker is compromised; exiting", helper, malformed);
  return WorkerExit::kMalformed;
}

template <typename Serve>
int Workers::run(int socket, Serve serve) {
  if (!dispatch()) return exit_code_;
  UniqueFd channel;
  WorkerExit how = take_channel(socket, channel);
  if (how == WorkerExit::kServed) how = serve(channel.get());
  // Reported before the broker can notice the end of the channel.
  if (how == WorkerExit::kMalformed) report(kMalformedReport);
  return static_cast<int>(how);
}

}  // namespace perfbroker
