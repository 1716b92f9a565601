#include "core/log.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace perfbroker {

void log_error(const char* format, ...) {
  char line[1024] = "perfbrokerd: ";
  const size_t prefix = strlen(line);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + prefix, sizeof line - prefix - 1, format, arguments);
  va_end(arguments);
  strcat(line, "\n");
  // There is no other place to report that stderr is gone.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, strlen(line));
}

}  // namespace perfbroker
