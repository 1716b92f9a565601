// The collector's process: beside CMD, never above or below it, and without any privilege.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/unique_fd.h"

namespace perfbroker {

// Whose root's collector is where there is no invoking user (SUDO_UID), and the id where that user
// has not been created.
inline constexpr const char* kCollectorUser = "perfbroker-collector";
inline constexpr uid_t kFallbackCollector = 60914;

// Whose the collector is. change: this process's ids are root's, which it never keeps. invoking:
// known from SUDO_UID, and with it what the user may write; else root's own files are created for
// it.
struct CollectorUser {
  bool change = false, invoking = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

CollectorUser find_collector_user();

// The same file under a number that no standard fd has and none of the collector's: CMD may have
// been given closed ones.
UniqueFd dup_above_reserved(UniqueFd fd);

// source: where events come from: "broker", "direct" or "none". broker: a connection to it, or
// none.
struct CollectorStart {
  const CollectorUser& user;
  const char* source;
  char** arguments;  // of this program, argv[0] included
  int broker;        // out of the way
};

// The launcher's end of the socketpair, and what node itself wrote to its standard error: a file in
// memory.
struct Collector {
  UniqueFd control, errors;

  // The last of what node said, as when a module is missing; one paragraph.
  std::string last_words() const;
};

// Starts node with the collector. The collector is nobody's child
// but init's (or a subreaper's) and has a session of its own: no wait(2) of CMD, no signal to its
// process group and no hang-up of its terminal meets it. Without a control fd `problem` says why
// there is none.
Collector start_collector(const CollectorStart& start, std::string& problem);

}  // namespace perfbroker
