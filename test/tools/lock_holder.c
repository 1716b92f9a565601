// lock_holder PID FD: holds the mutex of the context of a perf event, by a duplicate of FD of process PID, for as long as its standard
// input is open (a minute at most). It stands for an attacker who keeps that mutex by an ioctl(2) that faults on memory that is
// not there yet: under a scheduler an unprivileged one has to try again and again, with userfaultfd(2), as root, it is certain.
// Prints "holding" when the ioctl waits in the kernel, then "released". Exit code 77: this kernel has no userfaultfd.
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int event;
static char *page;

static void *hold(void *unused) {
  ioctl(event, PERF_EVENT_IOC_PERIOD, page);
  return unused;
}

static int fail(const char *what) {
  perror(what);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  alarm(60);
  const long process = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
  event = (int)syscall(SYS_pidfd_getfd, process, atoi(argv[2]), 0);
  if (event < 0) return fail("pidfd_getfd");
  const int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  if (faults < 0) return 77;
  struct uffdio_api api = {.api = UFFD_API};
  if (ioctl(faults, UFFDIO_API, &api) != 0) return 77;
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct uffdio_register area = {.range = {(unsigned long)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(faults, UFFDIO_REGISTER, &area) != 0) return fail("UFFDIO_REGISTER");
  pthread_t thread;
  if (pthread_create(&thread, NULL, hold, NULL) != 0) return fail("pthread_create");
  struct uffd_msg fault;
  if (read(faults, &fault, sizeof fault) != sizeof fault) return fail("read");
  puts("holding");
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  struct uffdio_zeropage zero = {.range = {(unsigned long)page, 4096}};
  if (ioctl(faults, UFFDIO_ZEROPAGE, &zero) != 0) return fail("UFFDIO_ZEROPAGE");
  pthread_join(thread, NULL);
  puts("released");
  return 0;
}
