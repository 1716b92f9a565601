// The command line of perfbrokerd. The text of its help is in help.inc.
#pragma once

#include "core/linux.h"

namespace perfbroker {

// -1 leaves an id as it is.
struct Account {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
};

// broker, opener, tracer, socket_ids, mode, classes: the meaning of the texts.
struct Options {
  std::string policy, socket, socket_owner, socket_group, socket_mode = "0666", ceiling = "user";
  std::string audit, user, opener_user, tracer_user, node = "node", log_level = "info";
  Account broker, opener, tracer, socket_ids;
  uint32_t mode = 0, classes = 0;
  bool with_tracer = false;
};

// Returns -1 to go on, or the code to exit with (--help, --version, or wrong usage, which it has
// reported).
int parse_options(std::span<char*> arguments, Options& options);

}  // namespace perfbroker
