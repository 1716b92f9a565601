// The collector's process. It is neither a parent nor a child of CMD, and has no privilege.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/unique_fd.h"

namespace perfbroker {

// The user of root's collector without an invoking user (SUDO_UID), and the id where that user has
// not been created.
inline constexpr const char* kCollectorUser = "perfbroker-collector";
inline constexpr uid_t kFallbackCollector = 60914;

// The collector's user. change: this process's ids are root's, which the collector never keeps.
// invoking: the user is known from SUDO_UID and writes its own files; otherwise the launcher
// creates root's files for it.
struct CollectorUser {
  bool change = false, invoking = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

CollectorUser find_collector_user();

// Duplicates an fd above the numbers of the standard fds and of the collector's: CMD may have
// started with some of them closed.
UniqueFd dup_above_reserved(UniqueFd fd);

// source: of the events: "broker", "direct" or "none". broker: a connection to it, or none.
struct CollectorStart {
  const CollectorUser& user;
  const char* source;
  char** arguments;  // of this program, argv[0] included
  int broker;        // above the reserved numbers
};

// The launcher's end of the socketpair, and a file in memory with node's own error output.
struct Collector {
  UniqueFd control, errors;

  // The end of node's error output, such as a missing module, as one paragraph.
  std::string last_words() const;
};

// Starts node with the collector. The collector is a child of init (or of a subreaper) and has a
// session of its own: no wait(2) of CMD, no signal to its process group and no hang-up of its
// terminal reaches it. Without a control fd `problem` has the reason.
Collector start_collector(const CollectorStart& start, std::string& problem);

}  // namespace perfbroker
