// Eight threads that start and join others without a pause, each of which keeps values in registers and looks whether they
// stay; and four threads each of which starts its successor and lives on for a while, so that at any time some have just
// been born. Ends when standard input does; prints how many threads there were, and exits
// with 1 when a register changed or an errno came where none can.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_long made, broken;
static atomic_int end;

static void *leaf(void *argument) {
  volatile unsigned long sum = 0;
  unsigned long a = 1, b = 2, c = 3, d = 4, e = 5;
  double x = 1.5;
  for (int i = 0; i < 2000; i++) {
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
    sum += a + b + c + d + e;
    x += 1;
  }
  if (sum != 2000 * 15 || x != 2001.5) broken++;
  const struct timespec moment = {0, 50000};
  if (nanosleep(&moment, NULL) != 0) broken++;
  return argument;
}

static atomic_int links;
static void start_link(void);
static void *chain_link(void *argument) {
  const struct timespec before = {0, 200000}, after = {0, 5000000};
  if (nanosleep(&before, NULL) != 0) broken++;
  if (!end) start_link();
  if (nanosleep(&after, NULL) != 0) broken++;
  links--;
  return argument;
}
static void start_link(void) {
  pthread_t thread;
  links++;
  made++;
  if (pthread_create(&thread, NULL, chain_link, NULL) == 0) pthread_detach(thread);
  else links--;
}

static void *maker(void *argument) {
  while (!end) {
    pthread_t threads[4];
    int count = 0;
    for (int i = 0; i < 4; i++) count += pthread_create(&threads[count], NULL, leaf, NULL) == 0;
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    made += count;
  }
  return argument;
}

int main(void) {
  pthread_t makers[8];
  for (int i = 0; i < 8; i++) pthread_create(&makers[i], NULL, maker, NULL);
  for (int i = 0; i < 4; i++) start_link();
  puts("ready");
  fflush(stdout);
  char byte;
  if (read(STDIN_FILENO, &byte, 1) < 0) broken++;
  end = 1;
  for (int i = 0; i < 8; i++) pthread_join(makers[i], NULL);
  while (links > 0) usleep(1000);
  printf("%ld threads, %ld broken\n", made, broken);
  return broken != 0;
}
