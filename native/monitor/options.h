// The command line of perfbrokerd.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace perfbroker {

struct Account {
  uid_t uid;
  gid_t gid;
};

struct Options {
  std::string policy;  // absolute; empty: the broker's default
  std::string socket = "/run/perfbroker/broker.sock";
  uid_t socket_owner = static_cast<uid_t>(-1);  // -1: as it comes
  gid_t socket_group = static_cast<gid_t>(-1);
  mode_t socket_mode = 0666;  // anyone may connect: policy decides
  uint32_t ceiling = 0;       // protocol::Ceiling
  std::string audit;          // absolute; empty: none
  Account broker{};
  Account opener{};
  std::string node;  // absolute path of the executable
  std::string log_level = "info";
};

// Returns -1 to go on, or the code to exit with (--help, --version, usage errors, which it has reported).
int parse_options(int argc, char** argv, Options& options);

// "user,kernel" for bits; in bit order.
std::string ceiling_names(uint32_t ceiling);

}  // namespace perfbroker
