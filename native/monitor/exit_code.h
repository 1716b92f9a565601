// Exit codes of perfbrokerd and of its processes; help.inc explains them.
#pragma once

namespace perfbroker {

enum ExitCode : int {
  kOrdered = 0,
  kUsage = 2,
  kNoCapability = 3,
  kSocket = 4,
  kProof = 5,
  kHelperDied = 6,
  kStartup = 7,
};

}  // namespace perfbroker
