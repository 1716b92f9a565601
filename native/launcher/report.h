// The launcher's messages to its user.
#pragma once

namespace perfbroker {

// Exit codes as a shell has them; 125 as env(1) and timeout(1) do: a failure of the launcher
// itself.
inline constexpr int kExitUsage = 2, kExitFailed = 125, kExitNotExecutable = 126,
                     kExitNotFound = 127;

// Prints "perfbroker: what: why". Returns the exit code for a program that could not be executed.
int report_exec_error(const char* what, int error);

// The same for a CMD that execvp(3) could not find or execute. execvp(3) reports EACCES also where
// only a directory of PATH is not searchable; a shell reports "not found" then.
int report_command_error(const char* command, int error);

}  // namespace perfbroker
