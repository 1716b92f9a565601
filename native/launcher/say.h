// What the launcher tells its user.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace perfbroker {

// Exit codes as a shell has them; 125 as env(1) and timeout(1) do: a failure of the launcher itself.
inline constexpr int kExitUsage = 2, kExitGaveUp = 125, kExitNotExecutable = 126, kExitNotFound = 127;

// "perfbroker: what: why"; returns the exit code for a program that could not be executed.
inline int complain(const char* what, int error) {
  fprintf(stderr, "perfbroker: %s: %s\n", what, strerrordesc_np(error));
  return error == ENOENT ? kExitNotFound : kExitNotExecutable;
}

}  // namespace perfbroker
