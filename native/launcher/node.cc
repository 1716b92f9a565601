#include "launcher/node.h"

#include <limits.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstdlib>

namespace perfbroker {
namespace {

// The directory that is `levels` above a file; empty when there is none.
std::string above(std::string path, int levels) {
  for (; levels > 0; levels--) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return "";
    path.resize(slash);
  }
  return path;
}

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

std::string find_node() {
  const char* path = getenv("PATH");
  const std::string directories =
      std::string(path != nullptr ? path : "") + ":/usr/bin:/usr/local/bin";
  for (size_t start = 0; start <= directories.size();) {
    size_t end = directories.find(':', start);
    if (end == std::string::npos) end = directories.size();
    const std::string candidate = directories.substr(start, end - start) + "/node";
    if (end > start && access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return "";
}

}  // namespace perfbroker
