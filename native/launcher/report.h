// What the launcher tells its user.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace perfbroker {

// Exit codes as a shell has them; 125 as env(1) and timeout(1) do: a failure of the launcher
// itself.
inline constexpr int kExitUsage = 2, kExitFailed = 125, kExitNotExecutable = 126,
                     kExitNotFound = 127;

// "perfbroker: what: why"; returns the exit code for a program that could not be executed.
inline int report_exec_error(const char* what, int error) {
  fprintf(stderr, "perfbroker: %s: %s\n", what, strerrordesc_np(error));
  return error == ENOENT ? kExitNotFound : kExitNotExecutable;
}

// The same for a CMD that execvp(3) could not find or execute. It says EACCES also where only a
// directory of PATH is closed; to a shell the command is not found then.
inline int report_command_error(const char* command, int error) {
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
