// Reads requests to the opener from standard input and prints one line for each: what the opener's
// check finds wrong with it (or "ok"), the bits of the ceiling that it needs, and the attr of its
// first event in hexadecimal.
#include <cstdio>

#include "core/perf_event.h"
#include "opener/check.h"

int main() {
  using namespace perfbroker;
  protocol::Request request;
  while (fread(&request, sizeof request, 1, stdin) == 1) {
    const char* wrong = find_malformation(request, 2);
    printf("%s\t%u\t", wrong == nullptr ? "ok" : wrong, classes_of(request));
    const Attr attr = build_attr(request.events[0]);
    for (const unsigned char byte : attr.bytes) printf("%02x", byte);
    printf("\n");
  }
  return 0;
}
