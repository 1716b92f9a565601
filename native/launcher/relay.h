// Output of node to a terminal: node writes to a pipe, and this process to the terminal.
#pragma once

#include "core/linux.h"

namespace perfbroker {

// This process has the process group that the shell gave the job, so that the terminal treats its
// output as that of any job (stty tostop). And node, which has no terminal among its standard fds,
// does not reset a terminal's modes when it ends.
class TerminalRelay {
 public:
  // Does nothing when `fd`, standard output or standard error, is not a terminal. 0, or errno.
  int open(int fd);

  bool is_terminal() const { return static_cast<bool>(writer_) || static_cast<bool>(reader_); }

  // In node's process: makes the pipe its standard fd.
  bool place() const { return !writer_ || dup2(writer_.get(), fd_) >= 0; }

  // When node has been started: leaves it the only writer.
  void close_writer() { writer_.reset(); }

  // False when nothing is left to write.
  bool is_open() const { return static_cast<bool>(reader_); }

  // Condition to wait for: text from node, or room at the terminal.
  pollfd wanted() const;

  // Reads or writes a part, after poll(2) returned it.
  void advance();

 private:
  int fd_ = -1;
  UniqueFd reader_, writer_;
  char text_[4096];
  size_t begin_ = 0, end_ = 0;
};

}  // namespace perfbroker
