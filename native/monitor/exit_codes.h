// Exit codes of perfbrokerd; --help lists them.
#pragma once

namespace perfbroker {

enum ExitCode : int {
  kExitOrdered = 0,
  kExitUsage = 2,
  kExitNoCapability = 3,
  kExitSocket = 4,
  kExitProof = 5,
  kExitPartDied = 6,
  kExitStartup = 7,
};

}  // namespace perfbroker
