// What the parts could not read after the drop, read once at start.
#pragma once

#include <glob.h>

#include "monitor/options.h"
#include "opener/opener.h"

namespace perfbroker {

// Calls each(path, number) for every file that matches and holds a number.
template <typename Each>
void for_each_number(const char* pattern, Each each) {
  glob_t found{};
  if (glob(pattern, GLOB_NOSORT, nullptr, &found) == 0) {
    for (const char* path : std::span(found.gl_pathv, found.gl_pathc)) {
      uint32_t number = 0;
      std::string_view text;
      if (read_file(AT_FDCWD, path, text_buffer, text) && take_number(text, number))
        each(std::string(path), number);
    }
  }
  globfree(&found);
}

// Type numbers of the PMUs whose config fields are pointers into the opener. Every number when
// sysfs does not tell.
inline std::vector<uint32_t> read_pointer_pmus() {
  std::vector<uint32_t> types;
  for_each_number("/sys/bus/event_source/devices/[ku]probe/type",
      [&](const std::string&, uint32_t n) { types.push_back(n); });
  if (access("/sys/bus/event_source/devices/software/type", R_OK) != 0)
    types = {OpenerConfig::kEveryType};
  return types;
}

// A sealed memfd of lines "subsystem:event id"; empty when tracefs is not mounted, which it
// reports.
inline UniqueFd collect_tracepoints() {
  std::string lines;
  const auto add = [&lines](const std::string& path, uint32_t id) {
    const size_t event = path.rfind('/', path.size() - sizeof "/id"),
                 system = path.rfind('/', event - 1);
    const size_t end = path.size() - strlen("/id");
    lines += path.substr(system + 1, event - system - 1) + ":" +
             path.substr(event + 1, end - event - 1) + " " + std::to_string(id) + "\n";
  };
  for_each_number(
      "/sys/kernel/tracing/events/*/*/id", add);  // debugfs's tracing is the same, mounted below it
  UniqueFd fd(memfd_create("tracepoints", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (!lines.empty() &&
      write(fd.get(), lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()) &&
      lseek(fd.get(), 0, SEEK_SET) == 0 && fcntl(fd.get(), F_ADD_SEALS, seals) == 0) {
    return fd;
  }
  log_error(
      "tracepoint names are unknown: tracefs is not mounted (mount -t tracefs tracefs "
      "/sys/kernel/tracing)");
  return {};
}

}  // namespace perfbroker
