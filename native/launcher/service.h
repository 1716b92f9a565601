// What the launcher does for the collector until CMD runs: opens events on itself, creates root's output file.
#pragma once

#include <string>

#include "core/perf_event.h"
#include "launcher/collector.h"
#include "launcher/protocol.h"

namespace perfbroker {

// How the conversation ended. ready: CMD may run; else `problem` says why nothing will be recorded, and `exit_code` what
// to exit with when that is fatal.
struct Verdict {
  bool ready = false;
  int exit_code = 0;
  std::string problem;
};

class CollectorService {
 public:
  // opens: whether this process opens the events, for want of a broker. output: the file of -o.
  CollectorService(int control, const CollectorUser& user, bool opens, const std::string& output)
      : control_(control), user_(user), opens_(opens), output_(output) {}

  // Answers requests until the collector is ready, has failed or is gone.
  Verdict serve();

  // CMD could not be executed: tells the collector, and removes the file that was created for it.
  void discard(int error);

 private:
  bool reply(int error, uint32_t value, uint32_t failed, std::span<const int> fds);
  int open_events(const launch::Request& request, std::vector<UniqueFd>& fds, uint32_t& failed);
  int create_output(UniqueFd& fd);
  int create_scratch(UniqueFd& fd);

  int control_;
  const CollectorUser& user_;
  bool opens_, created_ = false;
  const std::string& output_;
};

}  // namespace perfbroker
