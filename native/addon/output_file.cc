#include "addon/output_file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace perfbroker::addon {

Result<OutputFile> OutputFile::duplicate(int fd) {
  OutputFile file;
  file.fd_.reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!file.fd_) return last_error("fcntl");
  struct stat status {};
  if (fstat(file.fd_.get(), &status) != 0) return last_error("fstat");
  const int flags = fcntl(file.fd_.get(), F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return Error{EBADF, "write"};
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) file.mode_ = Mode::kNowait;
  return file;
}

ssize_t OutputFile::write_some(std::span<iovec> vectors) {
  const int count = static_cast<int>(std::min<size_t>(vectors.size(), IOV_MAX));
  if (mode_ == Mode::kNowait) {
    const ssize_t bytes = pwritev2(fd_.get(), vectors.data(), count, -1, RWF_NOWAIT);
    if (bytes >= 0 || errno != EOPNOTSUPP) return bytes;
    mode_ = Mode::kSmall;
    errno = EAGAIN;  // poll first
    return -1;
  }
  if (mode_ == Mode::kSmall)
    return write(fd_.get(), vectors[0].iov_base, std::min<size_t>(vectors[0].iov_len, PIPE_BUF));
  return writev(fd_.get(), vectors.data(), count);
}

std::optional<Error> OutputFile::wait_writable(int wake) const {
  pollfd entries[2] = {{fd_.get(), POLLOUT, 0}, {wake, POLLIN, 0}};
  if (poll(entries, 2, -1) < 0 && errno != EINTR) return last_error("poll");
  // Emptied, or the next poll would not wait. Who set it has set a flag before.
  uint64_t count;
  if ((entries[1].revents & POLLIN) != 0 && read(wake, &count, sizeof count) < 0 &&
      errno != EAGAIN) {
    return last_error("read");
  }
  return std::nullopt;
}

std::optional<Error> OutputFile::write_all(
    std::span<iovec> vectors, const std::atomic<bool>& abort, int wake, uint64_t& written) {
  bool wait = mode_ == Mode::kSmall;
  while (!vectors.empty()) {
    if (vectors[0].iov_len == 0) {
      vectors = vectors.subspan(1);
      continue;
    }
    if (abort.load()) return Error{ECANCELED, "write"};
    if (wait) {
      if (std::optional<Error> error = wait_writable(wake)) return error;
      if (abort.load()) return Error{ECANCELED, "write"};
    }
    const ssize_t result = write_some(vectors);
    wait = mode_ == Mode::kSmall || (result < 0 && errno == EAGAIN);
    if (result < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return last_error("write");
    }
    size_t bytes = static_cast<size_t>(result);
    written += bytes;
    while (bytes > 0) {
      const size_t part = std::min(bytes, vectors[0].iov_len);
      vectors[0].iov_base = static_cast<uint8_t*>(vectors[0].iov_base) + part;
      vectors[0].iov_len -= part;
      bytes -= part;
      if (vectors[0].iov_len == 0) vectors = vectors.subspan(1);
    }
  }
  return std::nullopt;
}

}  // namespace perfbroker::addon
