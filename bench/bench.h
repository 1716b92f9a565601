/* What the C programs of the benchmarks share. Each answers a line on standard input with a line of JSON. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A struct perf_event_attr in hexadecimal digits, as the command line has it. */
static inline struct perf_event_attr parse_attr(const char *hex) {
  struct perf_event_attr attr = {0};
  for (size_t i = 0; i < sizeof attr && hex[2 * i] != '\0'; i++) {
    const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
    ((unsigned char *)&attr)[i] = (unsigned char)strtoul(digits, NULL, 16);
  }
  return attr;
}

static inline int open_event(struct perf_event_attr *attr, int tid, int cpu) {
  return (int)syscall(SYS_perf_event_open, attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* The next line's number; 0 at the end of the input. */
static inline unsigned next_count(void) {
  char line[32];
  return fgets(line, sizeof line, stdin) == NULL ? 0 : (unsigned)strtoul(line, NULL, 10);
}

static inline void print_times(const uint64_t *ns, unsigned count) {
  putchar('[');
  for (unsigned i = 0; i < count; i++) printf("%s%llu", i > 0 ? "," : "", (unsigned long long)ns[i]);
  puts("]");
  fflush(stdout);
}
