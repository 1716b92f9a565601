/*
 * What a program inherits through exec. `inherited prepare CMD ARGS` sets up a state that is easy to spoil and executes
 * CMD (`prepare-alone`: without a child); `inherited report [MS]` prints what it finds, after a wait of MS in which nothing may turn up.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what) {
  perror(what);
  exit(99);
}

static void block(int number, int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  sigprocmask(how, &set, NULL);
}

/* True when the parent already executes `inherited report`. */
static int parent_reports(void) {
  char path[64], words[256] = "";
  snprintf(path, sizeof path, "/proc/%d/cmdline", getppid());
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t got = read(fd, words, sizeof words - 2); /* two words at the least, if only empty ones */
  close(fd);
  return got > 0 && strcmp(words + strlen(words) + 1, "report") == 0;
}

static void prepare(char **argv, int has_child) {
  block(SIGCHLD, SIG_BLOCK);
  block(SIGUSR1, SIG_BLOCK);
  raise(SIGUSR1); /* stays pending */
  signal(SIGINT, SIG_IGN);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_IGN);
  umask(027);
  struct rlimit files = {77, 200}, core = {0, 4096};
  if (setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_CORE, &core)) die("setrlimit");
  if (dup2(open("/proc/self/exe", O_RDONLY), 7) != 7 || lseek(7, 12, SEEK_SET) != 12) die("fd 7");
  if (dup2(open("/tmp", O_PATH | O_DIRECTORY), 40) != 40) die("fd 40");
  for (int fd = 3; fd < 7; fd++) close(fd);
  close(0);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) die("subreaper");
  prctl(PR_SET_TIMERSLACK, 60000, 0, 0, 0);
  personality(ADDR_NO_RANDOMIZE);
  if (nice(3) == -1 && errno) die("nice");
  if (chdir("/usr/bin")) die("chdir");
  alarm(1000);
  /* A child of before: it ends while the program to be executed runs, which may wait for it, however long that takes to come. */
  if (has_child && fork() == 0) {
    for (int tries = 0; tries < 3000 && !parent_reports(); tries++) usleep(20000);
    usleep(700000);
    _exit(42);
  }
  setenv("INHERITED", "a b\nc", 1);
  execvp(argv[0], argv);
  die(argv[0]);
}

static void print_file(const char *name, const char *path) {
  char buffer[65536];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got, length = 0;
  while (fd >= 0 && (got = read(fd, buffer + length, sizeof buffer - (size_t)length - 1)) > 0) length += got;
  if (fd >= 0) close(fd);
  buffer[length] = 0;
  char *rest = buffer;
  for (char *line; (line = strsep(&rest, "\n")) && rest;) printf("%s %s\n", name, line);
}

static void report(int milliseconds) {
  print_file("status", "/proc/self/status");
  print_file("limits", "/proc/self/limits");
  DIR *fds = opendir("/proc/self/fd");
  for (struct dirent *entry; (entry = readdir(fds));) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(fds)) continue;
    char path[64], target[4096] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, target, sizeof target - 1) < 0) die("readlink");
    /* A pipe's number says nothing. */
    printf("fd %d %s\n", fd, target[0] == '/' ? target : strtok(target, ":"));
    char name[32];
    snprintf(name, sizeof name, "fdinfo %d", fd);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    print_file(name, path);
  }
  closedir(fds);
  for (char **variable = environ; *variable; variable++) printf("environ %s\n", *variable);
  char cwd[4096];
  mode_t mask = umask(0);
  int subreaper = -1;
  prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
  printf("cwd %s\numask %o\nids %d %d %d\nforeground %d\nsubreaper %d\ndumpable %d\nslack %d\nnice %d\nalarm %d\n",
         getcwd(cwd, sizeof cwd), mask, getppid(), getpgrp(), getsid(0), tcgetpgrp(2), subreaper, prctl(PR_GET_DUMPABLE),
         prctl(PR_GET_TIMERSLACK), getpriority(PRIO_PROCESS, 0), alarm(0) > 900);
  sigset_t pending;
  sigpending(&pending);
  printf("pending");
  for (int number = 1; number < 32; number++)
    if (sigismember(&pending, number)) printf(" %d", number);
  printf("\n");
  if (milliseconds > 0) poll(NULL, 0, milliseconds);
  int status, count = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0; count++)
    printf("child ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  printf("children %d %s\n", count, strerrorname_np(errno));
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "prepare") == 0) prepare(argv + 2, 1);
  if (argc > 2 && strcmp(argv[1], "prepare-alone") == 0) prepare(argv + 2, 0);
  if (argc > 1 && strcmp(argv[1], "report") == 0) return report(argc > 2 ? atoi(argv[2]) : 0), 0;
  return 2;
}
