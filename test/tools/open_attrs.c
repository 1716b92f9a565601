// Reads attrs from standard input, one line of hexadecimal each, and prints for each the errno that
// perf_event_open(attr, 0, -1, -1, FD_CLOEXEC) gave, 0 when it opened.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  char line[8192 + 2];
  while (fgets(line, sizeof line, stdin) != NULL) {
    unsigned char bytes[4096];
    size_t size = strcspn(line, "\n") / 2;
    for (size_t i = 0; i < size; i++) {
      unsigned value = 0;
      if (sscanf(line + 2 * i, "%2x", &value) != 1) return 2;
      bytes[i] = (unsigned char)value;
    }
    long fd = syscall(SYS_perf_event_open, bytes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    printf("%d\n", fd < 0 ? errno : 0);
    if (fd >= 0) close((int)fd);
  }
  return 0;
}
