// One line on stderr, "perfbrokerd: …", in one write(2) and without allocating: the opener says its
// last words so too.
#pragma once

#include <cstdarg>

#include "core/linux.h"

namespace perfbroker {

[[gnu::format(printf, 1, 2)]] inline void log_error(const char* format, ...) {
  char line[1024] = "perfbrokerd: ";
  const size_t prefix = strlen(line);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
  va_end(arguments);
  strcat(line, "\n");
  // Nobody to tell when stderr is gone.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, strlen(line));
}

}  // namespace perfbroker
