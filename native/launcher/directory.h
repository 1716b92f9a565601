// The way to the file of -o, where root writes to it.
#pragma once

#include <string>

#include "core/unique_fd.h"

namespace perfbroker {

// Opens (O_PATH) the directory that holds `path`. A symbolic link on the way is followed where root
// alone can have put it, as /var/run: any other user could lead root's file into a directory of its
// choice. Empty: errno, ELOOP for such a link.
UniqueFd open_directory_of(const std::string& path);

// The name of `path` in that directory.
std::string name_of(const std::string& path);

}  // namespace perfbroker
