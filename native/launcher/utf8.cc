#include "launcher/utf8.h"

#include <cstdint>

namespace perfbroker {

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int following = lead >= 0xc2 && lead < 0xe0   ? 1
                          : lead >= 0xe0 && lead < 0xf0 ? 2
                          : lead >= 0xf0 && lead < 0xf5 ? 3
                                                        : 0;
    if (following == 0) return false;
    uint32_t point = lead & (0x3fu >> following);
    for (int n = 0; n < following; n++, i++) {
      if (i >= text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
      point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
    }
    if (following == 2 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) return false;
    if (following == 3 && (point < 0x10000 || point > 0x10ffff)) return false;
  }
  return true;
}

}  // namespace perfbroker
