// AF_UNIX stream sockets that are closed over messages that this process has not read. Fds in such
// a message are closed with it, and the client that sent them decides how long that takes.
#pragma once

#include <vector>

#include "core/unique_fd.h"

namespace perfbroker::addon {

// Drops unread bytes up to the first message with fds, if there are few. Never blocks. Returns true
// when nothing is left.
bool drop_bytes(int socket);

// Drops every unread message. May hang.
void drop_messages(int socket);

// Sockets for one close_together. Fewer than a quarter of the numbers that other fds have.
size_t most_together();

// Closes the sockets. May hang, but their fd numbers are free a moment after the call, even if a
// file hangs: close_range(2) takes all of its files out of the table first, and the kernel releases
// them when the call returns (filp_close, task_work_run). AF_UNIX sockets have no flush, which
// close_range(2) would wait for.
void close_together(std::vector<UniqueFd> sockets);

}  // namespace perfbroker::addon
