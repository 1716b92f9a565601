/*
 * A breakpoint event in the hands of its holder: PERF_EVENT_IOC_MODIFY_ATTRIBUTES.
 *
 * breakpoint_holder target: prints the addresses of two words, and writes to the second one for 30 s at most, or until its
 *   standard input ends.
 * breakpoint_holder move FD WORD: FD is a counting event of exclude_kernel and exclude_hv on a word of a target. It is moved to
 *   each of some addresses of the kernel, and to WORD at last. Each line has the address and the errno's name, or 0. The last line is the
 *   count when it first is not 0 at WORD, or after 10 s.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t words[2];

static int target(void) {
  printf("%p %p\n", (void *)&words[0], (void *)&words[1]);
  fflush(stdout);
  struct pollfd end = {0, POLLIN, 0};
  const time_t start = time(NULL);
  while (time(NULL) - start < 30 && poll(&end, 1, 1) == 0) words[1]++;
  return 0;
}

/* As build_attr in native/core/perf_event.cc: the kernel compares all of it but the place of the breakpoint. */
static const char *move(int fd, uint64_t address, int exclude_kernel) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.type = PERF_TYPE_BREAKPOINT;
  attr.size = PERF_ATTR_SIZE_VER7;
  attr.disabled = 1;
  attr.exclude_kernel = exclude_kernel;
  attr.exclude_hv = 1;
  attr.exclude_callchain_kernel = 1;
  attr.bp_type = HW_BREAKPOINT_W;
  attr.bp_addr = address;
  attr.bp_len = HW_BREAKPOINT_LEN_8;
  return ioctl(fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &attr) == 0 ? "0" : strerrorname_np(errno);
}

int main(int argc, char **argv) {
  if (argc < 4) return target();
  const int fd = atoi(argv[2]);
  const uint64_t word = strtoull(argv[3], NULL, 16);
  const uint64_t kernel[] = {
      0xffffffff81000000, /* kernel text */
      0xffff888000000000, /* direct map */
      0xfffffe0000000000, /* cpu entry area */
      0xfffffffffffffff8,
  };
  for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++) {
    printf("%#lx %s\n", kernel[i], move(fd, kernel[i], 1));
    printf("%#lx with exclude_kernel taken back %s\n", kernel[i], move(fd, kernel[i], 0));
  }
  printf("word with exclude_kernel taken back %s\n", move(fd, word, 0));
  printf("word %s\n", move(fd, word, 1));
  uint64_t count = 0;
  ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
  for (int tries = 0; tries < 1000 && count == 0; tries++) {
    usleep(10000);
    if (read(fd, &count, sizeof count) != sizeof count) return 1;
  }
  printf("count %lu\n", count);
  return 0;
}
