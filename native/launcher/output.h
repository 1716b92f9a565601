// Root's file of -o: written under a temporary name until CMD has been executed.
#pragma once

#include <optional>
#include <string>

#include "core/unique_fd.h"

namespace perfbroker {

class OutputFile {
 public:
  explicit OutputFile(const std::string& path) : path_(path) {}

  // Creates the file under a temporary name in the directory of `path`, and starts its keeper: a
  // process that outlives the exec and then gives the file its name. What was there becomes
  // `path`.old. Nothing is followed or overwritten. control: the socket to the collector, which is
  // notified when that fails. 0, or errno.
  int create(UniqueFd& fd, int control);

  // Opens a file without a name in the same directory. 0, or errno.
  int create_scratch(UniqueFd& fd);

  // The next thing this process does is execute CMD.
  void announce_exec();

  // Removes the temporary file, and returns when it is gone. What was there is as it was.
  void discard();

 private:
  int open_directory();
  int start_keeper(int control);

  const std::string& path_;
  std::string temporary_;
  UniqueFd directory_, keeper_;
};

}  // namespace perfbroker
