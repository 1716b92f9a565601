#include "launcher/node.h"

#include <limits.h>
#include <sys/auxv.h>

#include <cerrno>
#include <cstdlib>

#include "core/linux.h"
#include "core/wasm_option.h"
#include "launcher/report.h"

namespace perfbroker {
namespace {

constexpr unsigned kOldestNode = 20;  // package.json, engines
// Fds of a collector at work: node's own, its control, a file and a few rings.
constexpr rlim_t kNodeFds = 32;
// Node.js 20 starts with 200 MiB without a code range; the threads of a collector need more.
constexpr rlim_t kAddressSpace = 300u << 20;
// Node.js 20 reserves some 700 MiB at its start.
constexpr rlim_t kAmpleAddressSpace = rlim_t{4} << 30;

// The directory that is `levels` above a file; empty when there is none.
std::string above(std::string path, int levels) {
  for (; levels > 0; levels--) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return "";
    path.resize(slash);
  }
  return path;
}

bool is_executable(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

// First line of what `node --version` prints; empty when it does not run.
std::string read_version(const std::string& node) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  UniqueFd reader(ends[0]), writer(ends[1]);
  const pid_t child = fork();
  if (child == 0) {
    dup2(writer.get(), STDOUT_FILENO);
    execle(node.c_str(), node.c_str(), "--version", nullptr,
        node_environment({node, "", false}).data());
    _exit(kExitNotFound);
  }
  writer.reset();
  char text[64];
  size_t length = 0;
  for (ssize_t bytes; length < sizeof text &&
                      (bytes = read(reader.get(), text + length, sizeof text - length)) > 0;)
    length += static_cast<size_t>(bytes);
  while (child > 0 && waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  const std::string_view all(text, length);
  return std::string(all.substr(0, all.find('\n')));
}

// "v20.11.1" to 20; 0 when it is something else.
unsigned major_of(std::string_view version) {
  unsigned number = 0;
  if (version.starts_with('v'))
    std::from_chars(version.data() + 1, version.data() + version.size(), number);
  return number;
}

// Settings of node, V8's allocator, libuv and OpenSSL, and of the dynamic loader.
constexpr std::string_view kOfCommand[] = {"NODE_", "UV_", "V8_", "OPENSSL_", "SSL_CERT_",
    "MALLOC_", "GLIBC_TUNABLES=", "LD_", "PERFBROKER_COLLECTOR=", "PERFBROKER_PARENT="};

}  // namespace

std::string find_program(const char* name) {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  std::string program =
      above(std::string(path, length > 0 ? static_cast<size_t>(length) : 0), 2) + name;
  if (access(program.c_str(), R_OK) == 0) return program;
  // The real path may lead through a directory that this user may not search, where the one that
  // was used does not.
  const auto* used = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  char resolved[PATH_MAX];
  if (used != nullptr && used[0] != '/' && getcwd(resolved, sizeof resolved) != nullptr) {
    program = above(std::string(resolved) + "/" + used, 2) + name;
  } else if (used != nullptr) {
    program = above(used, 2) + name;
  }
  return program;
}

Node find_node() {
  Node node{find_program("/bin/node"), "", true};
  if (is_executable(node.path)) return node;
  node.is_ours = false;
  const char* path = getenv("PATH");
  const std::string directories =
      std::string(path != nullptr ? path : "") + ":/usr/bin:/usr/local/bin";
  for (size_t start = 0; start <= directories.size();) {
    const size_t end = std::min(directories.find(':', start), directories.size());
    node.path = directories.substr(start, end - start) + "/node";
    start = end + 1;
    if (node.path == "/node" || !is_executable(node.path)) continue;
    const std::string version = read_version(node.path);
    if (major_of(version) >= kOldestNode) return node;
    if (!node.problem.empty()) node.problem += "; ";
    node.problem += node.path + (version.empty() ? " does not run" : " has version " + version) +
                    ", and perfbroker needs Node.js " + std::to_string(kOldestNode) + " or later";
  }
  node.path.clear();
  node.problem += node.problem.empty() ? "no node is" : "; no other node is";
  node.problem += " in PATH, /usr/bin or /usr/local/bin";
  return node;
}

std::vector<const char*> node_options(const Node& node) {
  rlimit space{};
  if (getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur >= kAmpleAddressSpace) return {};
  return {"--jitless", wasm_option(node.path.c_str(), node_environment(node).data()),
      "--v8-pool-size=0", "--max-semi-space-size=1"};
}

std::vector<char*> node_environment(const Node& node, const char* marker) {
  std::vector<char*> variables;
  if (marker != nullptr) variables.push_back(const_cast<char*>(marker));
  for (char** variable = environ; *variable != nullptr; variable++) {
    const std::string_view text(*variable);
    const bool is_of_command = std::ranges::any_of(
        kOfCommand, [text](std::string_view prefix) { return text.starts_with(prefix); });
    // Another node than that of the build may need its libraries from there.
    if (!is_of_command || (!node.is_ours && text.starts_with("LD_LIBRARY_PATH=")))
      variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

std::string find_node_obstacle(int& exit_code) {
  rlimit space{}, files{};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < kAddressSpace) {
    exit_code = kExitFailed;
    return std::to_string(kAddressSpace >> 20) + " MiB of address space are needed, the limit is " +
           std::to_string(space.rlim_cur >> 20) + " MiB (ulimit -v)";
  }
  // Node raises its soft limit to the hard one.
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max >= 4096) return "";
  rlim_t used = 0;
  for (int fd = 0; static_cast<rlim_t>(fd) < files.rlim_max; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) used++;
  }
  if (used + kNodeFds <= files.rlim_max) return "";
  exit_code = 1;
  return std::to_string(used + kNodeFds) + " fds are needed, the limit is " +
         std::to_string(files.rlim_max) + " (ulimit -Hn)";
}

}  // namespace perfbroker
