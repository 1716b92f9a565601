/*
 * cpu_time UID COMMAND ARGS: runs a command as a user (0: as is) and writes to fd 3 what it and its children took, as JSON:
 * user and system time in microseconds, exit status.
 */
#include "bench.h"
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>

static long long microseconds(struct timeval t) { return t.tv_sec * 1000000ll + t.tv_usec; }

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: cpu_time UID COMMAND ARGS\n");
    return 2;
  }
  const unsigned id = (unsigned)atoi(argv[1]);
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    close(3);
    if (id != 0 && (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))) die("setresuid");
    execvp(argv[2], argv + 2);
    die(argv[2]);
  }
  int status;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child) die("wait4");
  dprintf(3, "{\"user\":%lld,\"system\":%lld,\"status\":%d}\n", microseconds(usage.ru_utime), microseconds(usage.ru_stime),
          WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 0;
}
