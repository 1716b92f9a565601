/* Opens an event on itself that also counts kernel mode, and prints the errno's name, or 0. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_TASK_CLOCK;
  attr.size = sizeof attr;
  const long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0ul);
  printf("kernel event: %s\n", fd < 0 ? strerrorname_np(errno) : "0");
  return 0;
}
