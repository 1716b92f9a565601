// One line on stderr, "perfbrokerd: …", in one write(2) and without allocating: the opener says its last words so too.
#pragma once

namespace perfbroker {

[[gnu::format(printf, 1, 2)]] void say(const char* format, ...);

}  // namespace perfbroker
