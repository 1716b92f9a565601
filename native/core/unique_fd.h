// The one owner of a file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace perfbroker {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept { return reset(other.release()), *this; }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  // close(2) errors are of no use here: on Linux the number is free again in every case but EBADF.
  void reset(int fd = -1) {
    if (const int old = std::exchange(fd_, fd); old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace perfbroker
