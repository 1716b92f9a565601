#include "monitor/say.h"

#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace perfbroker {

void say(const char* format, ...) {
  char line[1024];
  size_t length = static_cast<size_t>(snprintf(line, sizeof line, "perfbrokerd: "));
  va_list arguments;
  va_start(arguments, format);
  const int more = vsnprintf(line + length, sizeof line - length, format, arguments);
  va_end(arguments);
  if (more > 0) length = std::min(length + static_cast<size_t>(more), sizeof line - 1);
  line[length++] = '\n';
  // Nobody to tell when stderr is gone.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, length);
}

}  // namespace perfbroker
