#include "monitor/kernel_tables.h"

#include <glob.h>

#include "core/log.h"
#include "core/proc.h"
#include "opener/opener.h"

namespace perfbroker {

namespace {

// Calls each(path, number) for every file that matches and holds a number.
template <typename Each>
void for_each_number(const char* pattern, Each each) {
  glob_t found{};
  if (glob(pattern, GLOB_NOSORT, nullptr, &found) == 0) {
    for (const char* path : std::span(found.gl_pathv, found.gl_pathc)) {
      uint32_t number = 0;
      std::string_view text;
      if (read_file(AT_FDCWD, path, text) && take_number(text, number)) each(path, number);
    }
  }
  globfree(&found);
}

}  // namespace

std::vector<uint32_t> read_pointer_pmus() {
  if (access("/sys/bus/event_source/devices/software/type", R_OK) != 0)
    return {OpenerConfig::kEveryType};
  std::vector<uint32_t> types;
  for_each_number("/sys/bus/event_source/devices/[ku]probe/type",
      [&types](const char*, uint32_t number) { types.push_back(number); });
  return types;
}

UniqueFd collect_tracepoints() {
  constexpr std::string_view directory = "/sys/kernel/tracing/events/";
  std::string lines;
  // debugfs mounts the same directory below its own.
  for_each_number("/sys/kernel/tracing/events/*/*/id", [&](const std::string& path, uint32_t id) {
    std::string name = path.substr(directory.size(), path.rfind('/') - directory.size());
    std::ranges::replace(name, '/', ':');
    lines += name + " " + std::to_string(id) + "\n";
  });
  UniqueFd fd(memfd_create("tracepoints", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  const auto size = static_cast<ssize_t>(lines.size());
  if (size > 0 && write(fd.get(), lines.data(), lines.size()) == size &&
      lseek(fd.get(), 0, SEEK_SET) == 0 && fcntl(fd.get(), F_ADD_SEALS, seals) == 0)
    return fd;
  log_error(
      "tracepoint names are unknown: tracefs is not mounted (mount -t tracefs tracefs "
      "/sys/kernel/tracing)");
  return {};
}

}  // namespace perfbroker
