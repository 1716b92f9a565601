/*
 * The kernel's answer to this very process, in one word: 0 or the errno's name.
 *   probe open      perf_event_open of a software event, in user mode only, on itself
 *   probe peerpidfd getsockopt of SO_PEERPIDFD on a connected pair of sockets
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* since Linux 6.5 */
#endif

static long open_event(void) {
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                 .size = sizeof attr,
                                 .config = PERF_COUNT_SW_TASK_CLOCK,
                                 .exclude_kernel = 1,
                                 .exclude_hv = 1};
  return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static long peer_pidfd(void) {
  int ends[2], pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1;
  return getsockopt(ends[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size);
}

int main(int argc, char **argv) {
  const char *what = argc == 2 ? argv[1] : "";
  if (strcmp(what, "open") != 0 && strcmp(what, "peerpidfd") != 0) return 2;
  const long result = what[0] == 'o' ? open_event() : peer_pidfd();
  puts(result < 0 ? strerrorname_np(errno) : "0");
  return 0;
}
