#include "launcher/service.h"

#include "core/proc.h"
#include "core/scm.h"
#include "launcher/report.h"
#include "opener/check.h"

namespace perfbroker {

namespace {

using launch::Request;
using launch::Type;

// Types of the PMUs whose config fields are pointers into this process; every type when sysfs is
// not readable, as in the opener.
bool is_pointer_pmu(uint32_t type) {
  if (access("/sys/bus/event_source/devices/software/type", R_OK) != 0) return true;
  for (const char* path :
      {"/sys/bus/event_source/devices/kprobe/type", "/sys/bus/event_source/devices/uprobe/type"}) {
    std::string_view text;
    uint32_t number = 0;
    if (read_file(AT_FDCWD, path, text) && take_number(text, number) && number == type) return true;
  }
  return false;
}

// The collector has no privilege and is checked like any client: what opens here is an event on
// this very process, from its exec on, and nothing else.
bool is_well_formed(const Request& r) {
  if (r.event_count == 0 || r.event_count > launch::kMaxEvents || r.cpu_count == 0) return false;
  if (uint64_t{r.event_count} * r.cpu_count > launch::kMaxSlots) return false;
  if (r.ring_pages > protocol::kMaxRingPages ||
      (r.ring_pages != 0 && !std::has_single_bit(r.ring_pages)))
    return false;
  for (uint32_t i = 0; i < r.event_count; i++) {
    const protocol::EventFields& event = r.events[i];
    if (find_event_malformation(event) != nullptr || (event.flags & protocol::kEnableOnExec) == 0)
      return false;
    if (const uint32_t pmu = dynamic_pmu(event); pmu != 0 && is_pointer_pmu(pmu)) return false;
    if (r.leaders[i] != protocol::kNoLeader && r.leaders[i] >= i) return false;
  }
  return std::all_of(r.cpus, r.cpus + r.cpu_count,
      [](int32_t cpu) { return cpu >= -1 && cpu <= protocol::kMaxCpu; });
}

// errno, or 0 with the number.
int find_tracepoint(const char* name, uint32_t& id) {
  const std::string_view text(name);
  const size_t colon = text.find(':');
  const bool plain = std::ranges::all_of(
      text, [](char c) { return isalnum(c) != 0 || c == '_' || c == '-' || c == ':'; });
  if (!plain || colon == std::string_view::npos ||
      text.find(':', colon + 1) != std::string_view::npos)
    return EINVAL;
  const std::string path = "/sys/kernel/tracing/events/" + std::string(text.substr(0, colon)) +
                           "/" + std::string(text.substr(colon + 1)) + "/id";
  std::string_view number;
  if (!read_file(AT_FDCWD, path.c_str(), number)) return errno;
  return take_number(number, id) ? 0 : EPROTO;
}

// Lines of text, without control sequences of a terminal.
std::string printable(std::string text) {
  const auto obeyed = [](char c) {
    return c != '\n' && (static_cast<unsigned char>(c) < ' ' || c == 0x7f);
  };
  std::ranges::replace_if(text, obeyed, '?');
  return text;
}

}  // namespace

Verdict CollectorService::serve() {
  static Request request;
  for (;;) {
    const std::optional<Received> received =
        receive_message(control_, &request, sizeof request, {}, 0);
    if (!received || received->bytes == 0)
      return {false, kExitFailed, "the collector ended before it was ready"};
    request.text[sizeof request.text - 1] = '\0';
    if (received->truncated || received->bytes != sizeof request ||
        request.version != launch::kVersion) {
      return {false, kExitFailed, "the collector and the launcher have different versions"};
    }
    int error = EPERM;
    uint32_t value = 0, failed = 0;
    std::vector<UniqueFd> opened;
    switch (request.type) {
      case Type::kReady:
        return {true, 0, ""};
      case Type::kFailed:
        return {false, static_cast<int>(request.exit_code), printable(request.text)};
      case Type::kOpenEvents:
        if (opens_) error = is_well_formed(request) ? open_events(request, opened, failed) : EINVAL;
        break;
      case Type::kTracepoint:
        if (opens_) error = find_tracepoint(request.text, value);
        break;
      case Type::kOutput:
        if (creates_) error = output_.create(opened.emplace_back(), control_);
        break;
      case Type::kScratch:
        if (creates_) error = output_.create_scratch(opened.emplace_back());
        break;
      default:
        return {false, kExitFailed, "the collector sent an unknown request"};
    }
    std::vector<int> fds;
    if (error == 0) std::ranges::transform(opened, std::back_inserter(fds), &UniqueFd::get);
    if (!reply(error, value, failed, fds))
      return {false, kExitFailed, "the collector ended before it was ready"};
  }
}

void CollectorService::discard(int error) {
  output_.discard();
  reply(error, 0, 0, {});
}

bool CollectorService::reply(int error, uint32_t value, uint32_t failed, std::span<const int> fds) {
  const launch::Reply answer{launch::kVersion, static_cast<uint32_t>(error), value, failed,
      static_cast<uint32_t>(fds.size())};
  return static_cast<bool>(send_message(control_, &answer, sizeof answer, fds, 0));
}

int CollectorService::open_events(const Request& r, std::vector<UniqueFd>& fds, uint32_t& failed) {
  for (uint32_t c = 0; c < r.cpu_count; c++) {
    const size_t first = fds.size();
    for (uint32_t e = 0; e < r.event_count; e++) {
      const int leader = r.leaders[e] == protocol::kNoLeader ? -1 : fds[first + r.leaders[e]].get();
      fds.push_back(open_event(build_attr(r.events[e]), 0, r.cpus[c], leader, 0));
      if (fds.back()) continue;
      const int error = errno;
      failed = e;
      fds.clear();
      return error;
    }
    // A ring that is mapped already costs the collector nothing of its memlock limit. The mapping
    // ends with the exec; where it is not allowed here, the collector's own attempt gives the
    // reason.
    if (r.ring_pages == 0) continue;
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mmap(nullptr, (size_t{r.ring_pages} + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED,
        fds[first].get(), 0);
  }
  return 0;
}

}  // namespace perfbroker
