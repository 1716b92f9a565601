// The command line of `perfbroker run`. All of it is taken apart here, so that CMD is found without
// a `--`; the collector parses its own part again and checks the values. A test holds this table
// and the collector's together.
#pragma once

#include <span>
#include <string>

#include "launcher/downgrade.h"

namespace perfbroker {

struct RunOptions {
  Downgrade downgrade;
  bool verify = false, require = false, help = false;
  std::string socket, output = "perf.data";
  char** command = nullptr;  // ends with null, as argv does
};

// `arguments`: the arguments after `run`. Returns the error; empty if there is none.
std::string parse_run_options(std::span<char*> arguments, RunOptions& options);

}  // namespace perfbroker
