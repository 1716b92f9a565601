// Closing what others sent, on threads of its own: close(2) may block for as long as the sender likes, on a TCP socket
// that lingers over unsent data, or on a file of a FUSE server that does not answer a flush.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

#include "core/unique_fd.h"

namespace perfbroker::addon {

class Closer {
 public:
  // The process's only one. Never destroyed: a thread may hang in it when the process ends.
  static Closer& instance();

  // The number belongs to the closer from now on. Never blocks.
  void add(UniqueFd fd);
  // Fds that are not closed yet.
  size_t pending();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<UniqueFd> fds_;
  size_t threads_ = 0, idle_ = 0, closing_ = 0;
};

}  // namespace perfbroker::addon
