/* page_faults RATE: touches RATE fresh pages a second, in bursts of 10 ms; 0: as many as it can. Runs for ever. */
#include "bench.h"
#include <sys/mman.h>

enum { PAGES = 4096, PAGE = 4096 };

static __attribute__((noinline)) void touch(char *page) { *(volatile char *)page = 1; }

int main(int argc, char **argv) {
  const unsigned burst = argc > 1 ? (unsigned)atoi(argv[1]) / 100 : 0;
  char *area = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || madvise(area, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE)) die("mmap");
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (unsigned page = 0, touched = 0;;) {
    touch(area + (size_t)page * PAGE);
    if (++page == PAGES) {
      page = 0;
      if (madvise(area, (size_t)PAGES * PAGE, MADV_DONTNEED)) die("madvise");
    }
    if (burst == 0 || ++touched < burst) continue;
    touched = 0;
    next.tv_nsec += 10000000;
    if (next.tv_nsec >= 1000000000) next.tv_sec++, next.tv_nsec -= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
}
