import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/**
 * Prints `ready`, then spins in outer -> inner -> hot_leaf until each of its threads has used argv[1] seconds of cpu time,
 * so that a busy machine takes longer and gives as many samples. argv[2]: number of further threads. argv[3]:
 * `fork`: forks after 0.2 s, and the child spins as well; `fork-on-line`: forks when a line comes on standard input;
 * `fault`: touches every page of 16 MiB again and again instead.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static volatile unsigned long sink;
static double until;
static double used(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
__attribute__((noinline)) void hot_leaf(void) {
  __asm__ volatile("" ::: "memory");
  for (int i = 0; i < 100000; i++) sink += (unsigned long)i;
  __asm__ volatile("" ::: "memory");
}
__attribute__((noinline)) void inner(void) {
  hot_leaf();
  sink++;
}
__attribute__((noinline)) void outer(double limit) {
  while (used() < limit) {
    inner();
    sink++;
  }
}
__attribute__((noinline)) void *thread_body(void *name) {
  pthread_setname_np(pthread_self(), name);
  outer(until);
  return NULL;
}
int main(int argc, char **argv) {
  until = atof(argv[1]);
  pthread_t threads[8];
  int count = argc > 2 ? atoi(argv[2]) : 0;
  for (int i = 0; i < count; i++) pthread_create(&threads[i], NULL, thread_body, "spinner");
  puts("ready");
  fflush(stdout);
  pid_t child = 0;
  if (argc > 3 && strncmp(argv[3], "fork", 4) == 0) {
    if (strcmp(argv[3], "fork") == 0)
      outer(0.2);
    else
      getchar();
    if ((child = fork()) == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      outer(until);
      _exit(0);
    }
  }
  while (argc > 3 && strcmp(argv[3], "fault") == 0 && used() < until) {
    char *memory = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int at = 0; at < 16 << 20; at += 4096) memory[at] = 1;
    munmap(memory, 16 << 20);
  }
  outer(until);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  if (child > 0) waitpid(child, NULL, 0);
  return 7;
}
`;

/** @returns path of the program. Throws when there is no gcc. */
export function buildWorkload(directory: string): string {
  const source = join(directory, 'spin.c');
  const program = join(directory, 'spin');
  writeFileSync(source, SOURCE);
  execFileSync('gcc', [
    '-O1',
    '-g',
    '-fno-omit-frame-pointer',
    '-fno-optimize-sibling-calls',
    '-pthread',
    '-o',
    program,
    source,
  ]);
  return program;
}

/** A program that runs, with standard input and output at hand. */
export type RunningProgram = ChildProcessByStdio<Writable, Readable, null> & { readonly pid: number };

/** Starts a program and waits until it prints that it runs. */
export async function startReady(program: string, args: readonly string[]): Promise<RunningProgram> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  if (child.pid === undefined) throw new Error('no pid');
  return child as RunningProgram;
}
