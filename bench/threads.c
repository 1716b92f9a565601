/*
 * threads COUNT: a process of COUNT threads that sleep. Prints "ready", ends with its standard input.
 * They sleep on all cpus in turn: to attach an event to a task the kernel interrupts the cpu that it last ran on, which
 * costs ten times more when that is another cpu than the caller's. So every caller finds the same mixture.
 */
#include "bench.h"
#include <pthread.h>
#include <sched.h>

static void *sleep_on(void *nothing) {
  for (;;) pause();
  return nothing;
}

int main(int argc, char **argv) {
  pthread_attr_t small;
  pthread_t thread;
  if (pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 64 << 10)) die("pthread_attr");
  const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
  for (int i = 1; i < (argc > 1 ? atoi(argv[1]) : 1); i++) {
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET(i % cpus, &cpu);
    pthread_attr_setaffinity_np(&small, sizeof cpu, &cpu);
    if ((errno = pthread_create(&thread, &small, sleep_on, NULL)) != 0) die("pthread_create");
  }
  puts("ready");
  fflush(stdout);
  return next_count() > 0;
}
