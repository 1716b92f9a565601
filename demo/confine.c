/*
 * Runs a command as an unprivileged user that may not call perf_event_open: confine UID COMMAND ARGS
 * confine UID --probe: says what perf_event_open answers there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what) {
  perror(what);
  return 125;
}

int main(int argc, char **argv) {
  if (argc < 3 || atoi(argv[1]) <= 0) {
    fprintf(stderr, "usage: confine UID COMMAND ARGS\n");
    return 2;
  }
  const unsigned id = (unsigned)atoi(argv[1]);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)) return fail("setresuid");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return fail("no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return fail("seccomp");
  if (strcmp(argv[2], "--probe") == 0) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .exclude_kernel = 1};
    const long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    printf("perf_event_open: %s\n", fd < 0 ? strerror(errno) : "allowed");
    return 0;
  }
  execvp(argv[2], argv + 2);
  return fail(argv[2]);
}
