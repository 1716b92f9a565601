// The launcher's services to the collector until CMD runs: opens events on itself, creates root's
// output file.
#pragma once

#include <string>

#include "core/perf_event.h"
#include "launcher/collector.h"
#include "launcher/output.h"
#include "protocol/launcher.h"

namespace perfbroker {

// The end of the conversation. ready: CMD may run; else `problem` is the reason for recording
// nothing, and `exit_code` what to exit with when that is fatal.
struct Verdict {
  bool ready = false;
  int exit_code = 0;
  std::string problem;
};

class CollectorService {
 public:
  // opens: whether this process opens the events, without a broker. output: the file of -o.
  CollectorService(int control, const CollectorUser& user, bool opens, const std::string& output)
      : control_(control),
        opens_(opens),
        creates_(user.change && !user.invoking),
        output_(output) {}

  // Answers requests until the collector is ready, has failed or is gone.
  Verdict serve();

  // The next thing this process does is execute CMD.
  void announce_exec() { output_.announce_exec(); }

  // CMD could not be executed: removes the file that was created for the collector, and reports
  // that to it.
  void discard(int error);

 private:
  bool reply(int error, uint32_t value, uint32_t failed, std::span<const int> fds);
  int open_events(const launch::Request& request, std::vector<UniqueFd>& fds, uint32_t& failed);

  int control_;
  bool opens_, creates_;
  OutputFile output_;
};

}  // namespace perfbroker
