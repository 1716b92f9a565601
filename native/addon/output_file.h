// Output of drained records: a regular file, a pipe or a socket. Does not use Node-API.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "addon/result.h"
#include "core/unique_fd.h"

namespace perfbroker::addon {

class OutputFile {
 public:
  // A duplicate of `fd` (the file offset is shared), so that closing `fd` early cannot send
  // records elsewhere.
  static Result<OutputFile> duplicate(int fd);

  // Writes all of `vectors` (which it changes) and adds the bytes to `written`. Never blocks
  // beyond `abort` on a pipe or socket that no process reads: `wake` (an eventfd, emptied here)
  // must become readable when `abort` is set, and the result is then ECANCELED.
  std::optional<Error> write_all(
      std::span<iovec> vectors, const std::atomic<bool>& abort, int wake, uint64_t& written);

 private:
  enum class Mode {
    kPlain,   // regular files and devices: they do not wait for a reader
    kNowait,  // RWF_NOWAIT, which leaves the O_NONBLOCK of a shared file description alone
    kSmall,  // where the kernel has no RWF_NOWAIT for it: the bytes that certainly fit once poll(2)
             // reports writable
  };
  ssize_t write_some(std::span<iovec> vectors);
  std::optional<Error> wait_writable(int wake) const;

  UniqueFd fd_;
  Mode mode_ = Mode::kPlain;
};

}  // namespace perfbroker::addon
