// perfbroker: finds the tree that it lies in and executes node with the command line's program. It is an ELF file, so
// that debuggers and profilers can start it, and so that `--exec-gate` leaves nothing of node in the command it runs.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int kExitGaveUp = 125;        // the parent closed the gate's pipe
constexpr int kExitNotExecutable = 126;
constexpr int kExitNotFound = 127;

int complain(const char* what, int error) {
  fprintf(stderr, "perfbroker: %s: %s\n", what, strerrordesc_np(error));
  return error == ENOENT ? kExitNotFound : kExitNotExecutable;
}

template <typename T>
bool parse_number(const char* text, T& value) {
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc{} && end == view.data() + view.size();
}

// perfbroker --exec-gate FD [--nofile N] -- CMD ARG...: waits for a byte on FD, so that events can be attached to this
// pid first, then becomes CMD. Node ignores SIGPIPE and SIGXFSZ and raises the soft limit of open files: both are undone.
int exec_gate(int argc, char** argv) {
  int gate = -1;
  int next = 3;
  if (argc < 3 || !parse_number(argv[2], gate) || gate < 0) return kExitGaveUp;
  rlimit files{};
  if (next + 1 < argc && strcmp(argv[next], "--nofile") == 0) {
    rlim_t soft = 0;
    if (!parse_number(argv[next + 1], soft)) return kExitGaveUp;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && soft <= files.rlim_max) {
      files.rlim_cur = soft;
      setrlimit(RLIMIT_NOFILE, &files);
    }
    next += 2;
  }
  if (next + 1 >= argc || strcmp(argv[next], "--") != 0) return kExitGaveUp;
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  char byte;
  ssize_t got;
  do {
    got = read(gate, &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) return kExitGaveUp;
  close(gate);
  char** command = argv + next + 1;
  execvp(command[0], command);
  return complain(command[0], errno);
}

// The directory that is `levels` above a file; empty when there is none.
std::string above(std::string path, int levels) {
  for (; levels > 0; levels--) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return "";
    path.resize(slash);
  }
  return path;
}

std::string find_program() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  std::string program = above(std::string(path, length > 0 ? static_cast<size_t>(length) : 0), 2) + "/cli/main.js";
  if (access(program.c_str(), R_OK) == 0) return program;
  // The real path may lead through a directory that this user may not search, where the one that was used does not.
  const auto* used = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  char resolved[PATH_MAX];
  if (used != nullptr && used[0] != '/' && getcwd(resolved, sizeof resolved) != nullptr) {
    program = above(std::string(resolved) + "/" + used, 2) + "/cli/main.js";
  } else if (used != nullptr) {
    program = above(used, 2) + "/cli/main.js";
  }
  return program;
}

std::string find_node() {
  const char* path = getenv("PATH");
  const std::string directories = std::string(path != nullptr ? path : "") + ":/usr/bin:/usr/local/bin";
  for (size_t start = 0; start <= directories.size();) {
    size_t end = directories.find(':', start);
    if (end == std::string::npos) end = directories.size();
    const std::string candidate = directories.substr(start, end - start) + "/node";
    if (end > start && access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--exec-gate") == 0) return exec_gate(argc, argv);

  const std::string program = find_program();
  if (access(program.c_str(), R_OK) != 0) return complain(program.c_str(), errno), kExitNotFound;
  const std::string node = find_node();
  if (node.empty()) {
    fprintf(stderr, "perfbroker: node is neither in PATH nor in /usr/bin nor in /usr/local/bin\n");
    return kExitNotFound;
  }
  // For --exec-gate: what to give back to a command, as node raises the limit for itself.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    setenv("PERFBROKER_LAUNCHER_NOFILE", std::to_string(files.rlim_cur).c_str(), 1);
  }
  std::vector<char*> arguments = {const_cast<char*>(node.c_str()), const_cast<char*>(program.c_str())};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  arguments.push_back(nullptr);
  execv(node.c_str(), arguments.data());
  return complain(node.c_str(), errno);
}
