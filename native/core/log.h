// Messages on stderr.
#pragma once

namespace perfbroker {

// Writes the line "perfbrokerd: ..." in one write(2) and without allocating, so that it also works
// behind a system call filter.
[[gnu::format(printf, 1, 2)]] void log_error(const char* format, ...);

}  // namespace perfbroker
