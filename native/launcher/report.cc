#include "launcher/report.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace perfbroker {

int report_exec_error(const char* what, int error) {
  fprintf(stderr, "perfbroker: %s: %s\n", what, strerrordesc_np(error));
  return error == ENOENT ? kExitNotFound : kExitNotExecutable;
}

int report_command_error(const char* command, int error) {
  bool found = error != EACCES || strchr(command, '/') != nullptr;
  const char* path = getenv("PATH");
  const std::string directories = path != nullptr ? path : "/bin:/usr/bin";
  for (size_t start = 0; !found && start <= directories.size();) {
    size_t end = directories.find(':', start);
    if (end == std::string::npos) end = directories.size();
    found = access((directories.substr(start, end - start) + "/" + command).c_str(), F_OK) == 0;
    start = end + 1;
  }
  return report_exec_error(command, found ? error : ENOENT);
}

}  // namespace perfbroker
