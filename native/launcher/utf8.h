// UTF-8: node decodes its arguments, and replaces invalid bytes by U+FFFD.
#pragma once

#include <string_view>

namespace perfbroker {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace perfbroker
