// Runs one unusual process: `odd_targets KIND [ARGUMENT]`. Prints "ready" when the process has its final state.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void ready(void) {
  puts("ready");
  fflush(stdout);
}

static void wait_for_input(void) {
  char byte;
  if (read(STDIN_FILENO, &byte, 1) < 0) exit(3);
}

// The leader has ended, another thread goes on.
static pthread_t leader;
static void *survivor(void *argument) {
  pthread_join(leader, NULL);
  ready();
  wait_for_input();
  write(1, "survived\n", 9);
  _exit(0);
  return argument;
}
static int zombie_leader(void) {
  pthread_t thread;
  leader = pthread_self();
  pthread_create(&thread, NULL, survivor, NULL);
  pthread_exit(NULL);
}

// Waits for its vfork(2) child, which nothing but SIGKILL can interrupt.
static int vfork_parent(void) {
  const pid_t child = vfork();
  if (child == 0) {
    write(1, "ready\n", 6);
    char byte;
    _exit(read(STDIN_FILENO, &byte, 1) < 0);
  }
  int status;
  if (waitpid(child, &status, 0) != child) return 4;
  puts("survived");
  return status;
}

// capset(2) ends the process.
static int seccomp_kill(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_capset, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {4, filter};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 2;
  ready();
  wait_for_input();
  puts("survived");
  return 0;
}

// One thread of two has its system calls dispatched to the process itself.
static int dispatch(void) {
  static char selector = 0;
#ifdef PR_SET_SYSCALL_USER_DISPATCH
  if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) != 0) return 77;
#else
  return 77;
#endif
  ready();
  wait_for_input();
  puts("survived");
  return selector;
}

// Counts real-time signals, which queue, and the ticks of a timer; prints both.
static atomic_long counted, ticks;
static void count(int number) { number == SIGALRM ? ticks++ : counted++; }
static void *sleeper(void *argument) {
  for (;;) {
    const struct timespec moment = {0, 100000};
    nanosleep(&moment, NULL);
  }
  return argument;
}
static int signals(void) {
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  sigaction(SIGRTMIN, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  pthread_t thread;
  for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, sleeper, NULL);
  ready();
  wait_for_input();
  printf("%ld %ld\n", counted, ticks);
  return 0;
}

#if defined(__x86_64__) && defined(__has_include) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
// A restartable sequence without an end: only its abort leads out of it, and begins it again.
static atomic_long aborts;
static void *in_sequence(void *argument) {
  struct rseq *self = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
  __asm__ volatile(
      ".pushsection __rseq_cs, \"aw\"\n"
      ".balign 32\n"
      "3: .long 0, 0\n .quad 1f, 2f - 1f, 4f\n"
      ".popsection\n"
      "5: leaq 3b(%%rip), %%rax\n movq %%rax, %0\n"
      "1: jmp 1b\n"
      "2: ud2\n"
      ".byte 0x0f, 0xb9, 0x3d\n .long %c2\n"  // the signature, as an instruction that is none
      "4: lock incq %1\n jmp 5b\n"
      : "=m"(self->rseq_cs), "+m"(aborts)
      : "i"(RSEQ_SIG)
      : "rax", "memory", "cc");
  return argument;
}
static int sequence(void) {
  if (__rseq_size == 0) return 77;
  pthread_t thread;
  pthread_create(&thread, NULL, in_sequence, NULL);
  usleep(20000);
  ready();
  for (char line; read(STDIN_FILENO, &line, 1) == 1;) {
    printf("%ld\n", aborts);
    fflush(stdout);
  }
  return 0;
}
#else
static int sequence(void) { return 77; }
#endif

#ifdef __x86_64__
// A stack pointer in the midst of data that is in use on both sides of it, as programs with stacks of their own have.
static unsigned char arena[4096];
static atomic_int leave;
static void *on_arena(void *argument) {
  __asm__ volatile(
      "movq %%rsp, %%rbx\n leaq %1, %%rsp\n"
      "1: pause\n cmpl $0, %0\n je 1b\n"
      "movq %%rbx, %%rsp\n"
      : : "m"(leave), "m"(arena[2048]) : "rbx", "memory", "cc");
  return argument;
}
static int stack(void) {
  for (size_t i = 0; i < sizeof arena; i++) arena[i] = (unsigned char)(i * 37 + 1);
  pthread_t thread;
  pthread_create(&thread, NULL, on_arena, NULL);
  usleep(20000);
  ready();
  wait_for_input();
  leave = 1;
  pthread_join(thread, NULL);
  for (size_t i = 0; i < sizeof arena; i++)
    if (arena[i] != (unsigned char)(i * 37 + 1)) return printf("byte %zu\n", i), 1;
  return 0;
}
#else
static int stack(void) { return 77; }
#endif

int main(int count_of, char **values) {
  const struct { const char *kind; int (*run)(void); } kinds[] = {
      {"zombie-leader", zombie_leader}, {"vfork-parent", vfork_parent}, {"seccomp-kill", seccomp_kill},
      {"dispatch", dispatch}, {"signals", signals}, {"sequence", sequence},
      {"stack", stack}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (count_of > 1 && strcmp(values[1], kinds[i].kind) == 0) return kinds[i].run();
  return 2;
}
