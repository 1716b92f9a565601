#include "monitor/kernel_tables.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <charconv>
#include <memory>
#include <string>

#include "core/proc.h"
#include "monitor/say.h"

namespace perfbroker {

namespace {

bool read_number(const std::string& path, uint32_t& value) {
  char buffer[32];
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  Result<std::string_view> text = read_text(fd.get(), buffer);
  return text && std::from_chars(text->data(), text->data() + text->size(), value).ec == std::errc{};
}

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

template <typename Each>
bool for_each_entry(const std::string& path, Each each) {
  const Directory directory(opendir(path.c_str()), closedir);
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') each(std::string(entry->d_name));
  }
  return true;
}

}  // namespace

bool read_pointer_pmus(std::vector<uint32_t>& types) {
  const std::string devices = "/sys/bus/event_source/devices/";
  bool complete = access((devices + "software/type").c_str(), R_OK) == 0;
  for (const char* name : {"kprobe", "uprobe"}) {
    const std::string path = devices + name;
    uint32_t type = 0;
    if (access(path.c_str(), F_OK) != 0) continue;  // the kernel has no such PMU
    if (read_number(path + "/type", type)) types.push_back(type);
    else complete = false;
  }
  return complete;
}

UniqueFd collect_tracepoints() {
  std::string lines;
  for (const char* root : {"/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"}) {
    const std::string events = root;
    for_each_entry(events, [&](const std::string& subsystem) {
      for_each_entry(events + "/" + subsystem, [&](const std::string& event) {
        uint32_t id = 0;
        if (!read_number(events + "/" + subsystem + "/" + event + "/id", id)) return;
        lines += subsystem + ":" + event + " " + std::to_string(id) + "\n";
      });
    });
    if (!lines.empty()) break;
  }
  if (lines.empty()) {
    say("tracepoint names are unknown: tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing)");
    return {};
  }
  UniqueFd fd(memfd_create("tracepoints", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const bool written = fd && write(fd.get(), lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()) &&
                       lseek(fd.get(), 0, SEEK_SET) == 0 &&
                       fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
  if (!written) fd.reset();
  return fd;
}

}  // namespace perfbroker
