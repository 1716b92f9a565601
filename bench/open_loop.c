/*
 * perf_event_open on every thread of a process, cpu and event, and nothing else: the lowest possible cost of these fds.
 * open_loop PID CPUS EVENTS ATTR: cpus 0 to CPUS-1, the same event EVENTS times. For each count N on standard input, prints
 * N times in nanoseconds. Listing the threads and closing the fds is not timed.
 */
#include "bench.h"
#include <dirent.h>
#include <sys/resource.h>

enum { MAX_FDS = 8192 };
static int tids[MAX_FDS], fds[MAX_FDS];

static unsigned list_threads(const char *pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/task", pid);
  DIR *directory = opendir(path);
  if (directory == NULL) die(path);
  unsigned count = 0;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL && count < MAX_FDS;)
    if (entry->d_name[0] != '.') tids[count++] = atoi(entry->d_name);
  closedir(directory);
  return count;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: open_loop PID CPUS EVENTS ATTR\n");
    return 2;
  }
  const int cpus = atoi(argv[2]), events = atoi(argv[3]);
  struct perf_event_attr attr = parse_attr(argv[4]);
  const struct rlimit files = {MAX_FDS + 64, MAX_FDS + 64};
  if (setrlimit(RLIMIT_NOFILE, &files)) die("setrlimit");
  for (unsigned count; (count = next_count()) > 0;) {
    uint64_t *times = calloc(count, sizeof *times);
    if (times == NULL) die("calloc");
    for (unsigned i = 0; i < count; i++) {
      const unsigned threads = list_threads(argv[1]);
      if (threads * (unsigned)(cpus * events) > MAX_FDS) return 2;
      unsigned opened = 0;
      const uint64_t before = now_ns();
      for (unsigned t = 0; t < threads; t++)
        for (int cpu = 0; cpu < cpus; cpu++)
          for (int event = 0; event < events; event++)
            if ((fds[opened++] = open_event(&attr, tids[t], cpu)) < 0) die("perf_event_open");
      times[i] = now_ns() - before;
      while (opened > 0) close(fds[--opened]);
    }
    print_times(times, count);
    free(times);
  }
  return 0;
}
