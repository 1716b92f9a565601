/* Something to profile: three functions that take about 60, 30 and 10 per cent of the time. */
#include <stdint.h>
#include <stdio.h>

#define NOINLINE __attribute__((noinline))

static inline __attribute__((always_inline)) uint64_t spin(uint64_t rounds) {
  volatile uint64_t x = 88172645463325252ull;
  for (uint64_t i = 0; i < rounds; i++) {
    uint64_t y = x;
    y ^= y << 13;
    y ^= y >> 7;
    x = y ^ (y << 17);
  }
  return x;
}

NOINLINE uint64_t render_frame(void) { return spin(600000) + 1; }
NOINLINE uint64_t decode_packet(void) { return spin(300000) + 2; }
NOINLINE uint64_t write_log(void) { return spin(100000) + 3; }

int main(void) {
  uint64_t sum = 0;
  for (;;) sum += render_frame() + decode_packet() + write_log();
  return printf("%llu\n", (unsigned long long)sum) < 0;
}
