// Operations on file descriptors that can hang in the kernel, on threads of their own.
//
// close(2) blocks on a TCP socket that lingers over unsent data, and on a file of a FUSE server
// that does not answer a flush. Every perf ioctl(2) and the last close(2) of a perf event wait for
// `ctx->mutex` of its target's context (perf_event_ctx_lock, kernel/events/core.c), which a client
// can keep locked. A close(2) of an AF_UNIX socket closes what lies in its receive queue. In each
// case the client decides how long it takes.
//
// So every operation belongs to a user, and the operations of one user run in order, on at most one
// thread at a time: an operation that hangs holds up its own user alone.
//
// Sockets are the exception. A client connects as fast as it can, and each connection that waits to
// be closed has an fd number of this process. So a user whose sockets pile up has them closed
// together, on threads other than its lane's.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "core/unique_fd.h"

namespace perfbroker::addon {

struct Operation {
  // On a thread of the lanes.
  std::function<void()> run;
  // After `run`, when the operation is no longer counted; must not block. May be empty.
  std::function<void()> done;
  // Fds that the user sent and that stay open until `run` returns; see Lanes::foreign.
  size_t foreign = 0;
  // In place of `run`: an AF_UNIX socket whose unread messages are dropped, and which is closed.
  UniqueFd socket = {};
};

class Lanes {
 public:
  // The only one of the process. It is never destroyed: a thread may hang in it when the process
  // ends.
  static Lanes& instance();

  // Never blocks.
  void add(int64_t user, Operation operation);
  // Operations of all users that are not done.
  size_t pending();
  // Fds that this user sent and that are not closed yet.
  size_t foreign(int64_t user);

 private:
  struct Lane {
    std::deque<Operation> waiting;
    // One of its operations runs, or the user has its place in turns_.
    bool scheduled = false;
    size_t foreign = 0;
    // Sockets among `waiting`.
    size_t sockets = 0;
    // Threads that close sockets of this user together.
    size_t closers = 0;
  };
  struct Closer;

  static void* run_thread(void* lanes);
  static void* run_closer(void* closer);
  void start_thread();
  static bool are_too_many(const Lane& lane);
  void close_sockets(int64_t user, Lane& lane);
  void run();
  void drop_if_idle(int64_t user);

  std::mutex mutex_;
  std::condition_variable work_;
  // Only users with something that waits or runs.
  std::map<int64_t, Lane> lanes_;
  // Users with an operation that waits and none that runs, in the order of their turns.
  std::deque<int64_t> turns_;
  size_t threads_ = 0, idle_ = 0, closers_ = 0, pending_ = 0;
};

}  // namespace perfbroker::addon
