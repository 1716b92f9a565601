/* threads COUNT: a process of so many threads that sleep. Prints "ready", ends with its standard input. */
#include "bench.h"
#include <pthread.h>

static void *sleep_on(void *nothing) {
  for (;;) pause();
  return nothing;
}

int main(int argc, char **argv) {
  pthread_attr_t small;
  pthread_t thread;
  if (pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 64 << 10)) die("pthread_attr");
  for (int i = 1; i < (argc > 1 ? atoi(argv[1]) : 1); i++)
    if ((errno = pthread_create(&thread, &small, sleep_on, NULL)) != 0) die("pthread_create");
  puts("ready");
  fflush(stdout);
  return next_count() > 0;
}
