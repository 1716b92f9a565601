#include "launcher/relay.h"

namespace perfbroker {

int TerminalRelay::open(int fd) {
  if (isatty(fd) == 0) return 0;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  fd_ = fd;
  // Above the standard fds, of which the caller may have closed one.
  reader_.reset(fcntl(ends[0], F_DUPFD_CLOEXEC, 3));
  writer_.reset(fcntl(ends[1], F_DUPFD_CLOEXEC, 3));
  const int error = errno;
  close(ends[0]);
  close(ends[1]);
  return reader_ && writer_ ? 0 : error;
}

pollfd TerminalRelay::wanted() const {
  if (begin_ < end_) return {fd_, POLLOUT, 0};
  return {reader_.get(), POLLIN, 0};
}

void TerminalRelay::advance() {
  if (begin_ < end_) {
    const ssize_t written = write(fd_, text_ + begin_, end_ - begin_);
    if (written >= 0)
      begin_ += static_cast<size_t>(written);
    else if (errno != EINTR && errno != EAGAIN)
      reader_.reset();  // the terminal is gone; node gets EPIPE
    return;
  }
  const ssize_t bytes = read(reader_.get(), text_, sizeof text_);
  if (bytes > 0) {
    begin_ = 0;
    end_ = static_cast<size_t>(bytes);
  } else if (bytes == 0 || errno != EINTR) {
    reader_.reset();
  }
}

}  // namespace perfbroker
