// perfbroker: finds the tree that it lies in and executes node with the command line's program. It
// is an ELF file, so that debuggers and profilers can start it, and so that `run` and `--exec-gate`
// leave nothing of node in their command.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/node.h"
#include "launcher/report.h"
#include "launcher/run.h"
#include "launcher/utf8.h"

namespace {

using perfbroker::kExitFailed;
using perfbroker::kExitNotFound;
using perfbroker::kExitUsage;
using perfbroker::report_command_error;
using perfbroker::report_exec_error;

template <typename T>
bool parse_number(const char* text, T& value) {
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc{} && end == view.data() + view.size();
}

// perfbroker --exec-gate FD [--nofile N] -- CMD ARG...: waits for a byte on FD, so that events can
// be attached to this pid first, then becomes CMD; the errno of an exec that fails goes back as a
// byte. Node ignores SIGPIPE and SIGXFSZ and raises the soft limit of open files: both are undone.
int exec_gate(int argc, char** argv) {
  int gate = -1;
  int next = 3;
  if (argc < 3 || !parse_number(argv[2], gate) || gate < 0) return kExitFailed;
  rlimit files{};
  if (next + 1 < argc && strcmp(argv[next], "--nofile") == 0) {
    rlim_t soft = 0;
    if (!parse_number(argv[next + 1], soft)) return kExitFailed;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && soft <= files.rlim_max) {
      files.rlim_cur = soft;
      setrlimit(RLIMIT_NOFILE, &files);
    }
    next += 2;
  }
  if (next + 1 >= argc || strcmp(argv[next], "--") != 0) return kExitFailed;
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  char byte;
  ssize_t got;
  do {
    pollfd poller{gate, POLLIN, 0};  // the gate may be non-blocking
    poll(&poller, 1, -1);
    got = read(gate, &byte, 1);
  } while (got < 0 && (errno == EINTR || errno == EAGAIN));
  if (got != 1) return kExitFailed;
  fcntl(gate, F_SETFD, FD_CLOEXEC);
  char** command = argv + next + 1;
  execvp(command[0], command);
  // The process behind the gate cannot distinguish this exit from one of CMD with the same code.
  const int error = errno;
  const auto code = static_cast<unsigned char>(error);
  send(gate, &code, 1, MSG_NOSIGNAL);
  return report_command_error(command[0], error);
}

// Index of the word `run`, which only --socket may precede; 0: another command.
int find_run(int argc, char** argv) {
  int index = 1;
  while (index < argc && strncmp(argv[index], "--socket", 8) == 0)
    index += argv[index][8] == '=' ? 1 : 2;
  return index < argc && strcmp(argv[index], "run") == 0 ? index : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--exec-gate") == 0) return exec_gate(argc, argv);
  if (const int run = find_run(argc, argv)) {
    const int code =
        perfbroker::run_command({argv, static_cast<size_t>(argc)}, static_cast<size_t>(run));
    if (code >= 0) return code;
  }

  // Node would replace the bytes, and so change the names of CMD and of files.
  for (int index = 1; index < argc; index++) {
    if (perfbroker::is_utf8(argv[index])) continue;
    fprintf(stderr,
        "perfbroker: argument %d is not UTF-8; only `perfbroker run` accepts that, in CMD\n",
        index);
    return kExitUsage;
  }

  const std::string program = perfbroker::find_program();
  if (access(program.c_str(), R_OK) != 0) {
    report_exec_error(program.c_str(), errno);
    return kExitNotFound;
  }
  const std::string node = perfbroker::find_node();
  if (node.empty()) {
    fprintf(stderr, "perfbroker: node is neither in PATH nor in /usr/bin nor in /usr/local/bin\n");
    return kExitNotFound;
  }
  // For --exec-gate: the limit to restore for a command, as node raises the limit for itself.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    setenv("PERFBROKER_LAUNCHER_NOFILE", std::to_string(files.rlim_cur).c_str(), 1);
  }
  std::vector<char*> arguments = {
      const_cast<char*>(node.c_str()), const_cast<char*>(program.c_str())};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  arguments.push_back(nullptr);
  execv(node.c_str(), arguments.data());
  return report_exec_error(node.c_str(), errno);
}
