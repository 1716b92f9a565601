// perf_attrs FD COMMAND ARGS...: runs COMMAND and writes the attr of every perf_event_open(2) that it or its children
// make to FD, one line of hexadecimal each, exactly as long as its size field says. Exits with COMMAND's status. A seccomp
// filter picks the one syscall, so that the others run at full speed.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_attr(FILE *out, pid_t pid, uint64_t address) {
  unsigned char bytes[4096];
  uint32_t head[2];
  struct iovec to = {head, sizeof head}, from = {(void *)(uintptr_t)address, sizeof head};
  if (process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)sizeof head) return;
  size_t size = head[1] == 0 ? PERF_ATTR_SIZE_VER0 : head[1];
  if (size > sizeof bytes) return;
  to = (struct iovec){bytes, size};
  from.iov_len = size;
  if (process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)size) return;
  for (size_t i = 0; i < size; i++) fprintf(out, "%02x", bytes[i]);
  fputc('\n', out);
}

static int trace_perf_event_open(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  FILE *out = fdopen(atoi(argv[1]), "w");
  if (out == NULL) return 2;
  pid_t command = fork();
  if (command == 0) {
    fclose(out);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    if (trace_perf_event_open() != 0) _exit(126);
    execvp(argv[2], argv + 2);
    _exit(127);
  }
  int status;
  waitpid(command, &status, 0);
  ptrace(PTRACE_SETOPTIONS, command, 0,
         PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
             PTRACE_O_EXITKILL);
  ptrace(PTRACE_CONT, command, 0, 0);
  int result = 1;
  pid_t pid;
  while ((pid = waitpid(-1, &status, __WALL)) > 0) {
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (pid == command) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      continue;
    }
    int signal = WSTOPSIG(status);
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
      struct __ptrace_syscall_info info;
      if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0) print_attr(out, pid, info.seccomp.args[0]);
      signal = 0;
    } else if (signal == SIGTRAP || signal == SIGSTOP) {
      signal = 0;  // ptrace's own stops
    }
    ptrace(PTRACE_CONT, pid, 0, signal);
  }
  fclose(out);
  return result;
}
