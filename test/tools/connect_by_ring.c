// connect_by_ring SOCKET PROGRAM [ARGUMENT]...: connects with the credentials of a child that is in a user namespace of its own
// and has dropped every group there, then executes PROGRAM with the connection as fd 3. The child prints "unshared PID" and waits
// for a line on standard input: until then its id maps have to be written. Both share an io_uring; the child registers its
// credentials with it (IORING_REGISTER_PERSONALITY), this process uses them. It stays in its namespace and keeps its groups.
// Exit code 77: io_uring is not available here.
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct io_uring_params params;
static int ring;

static int fail(const char *what) {
  perror(what);
  return 1;
}

static void *map(off_t what, size_t bytes) {
  return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
}

// Its exit code is the id of the personality, which begins at 1 (io_register_personality, io_uring/register.c).
static int lend(void) {
  if (unshare(CLONE_NEWUSER) != 0) return perror("unshare"), 0;
  printf("unshared %d\n", getpid());
  fflush(stdout);
  char byte;
  if (read(STDIN_FILENO, &byte, 1) != 1) return 0;
  if (setgroups(0, NULL) != 0) return perror("setgroups"), 0;
  const long id = syscall(SYS_io_uring_register, ring, IORING_REGISTER_PERSONALITY, NULL, 0);
  if (id <= 0) return perror("IORING_REGISTER_PERSONALITY"), 0;
  return (int)id;
}

// Returns 0 or a negative errno.
static int connect_as(int personality, int connection, const struct sockaddr_un *address) {
  char *submissions = map(IORING_OFF_SQ_RING, params.sq_off.array + params.sq_entries * sizeof(unsigned));
  char *completions = map(IORING_OFF_CQ_RING, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe));
  struct io_uring_sqe *entry = map(IORING_OFF_SQES, params.sq_entries * sizeof(struct io_uring_sqe));
  if (submissions == MAP_FAILED || completions == MAP_FAILED || entry == MAP_FAILED) return -errno;
  memset(entry, 0, sizeof *entry);
  entry->opcode = IORING_OP_CONNECT;
  entry->fd = connection;
  entry->addr = (unsigned long)address;
  entry->off = sizeof *address;
  entry->personality = (unsigned short)personality;
  ((unsigned *)(submissions + params.sq_off.array))[0] = 0;
  __atomic_store_n((unsigned *)(submissions + params.sq_off.tail), 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) return -errno;
  return ((struct io_uring_cqe *)(completions + params.cq_off.cqes))->res;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  /* ENOMEM: its memory counts, with what other tests of this user have locked, against RLIMIT_MEMLOCK. */
  for (int tries = 0; (ring = (int)syscall(SYS_io_uring_setup, 4, &params)) < 0 && errno == ENOMEM && tries < 1000; tries++)
    usleep(10000);
  if (ring < 0 && (errno == ENOSYS || errno == EPERM || errno == ENOMEM)) return 77;
  if (ring < 0) return fail("io_uring_setup");
  const pid_t child = fork();
  if (child == 0) _exit(lend());
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 0) return 1;
  const int connection = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  const int result = connect_as(WEXITSTATUS(status), connection, &address);
  if (result != 0) return errno = -result, fail("IORING_OP_CONNECT");
  if (dup2(connection, 3) != 3) return fail("dup2");
  execv(argv[2], argv + 2);
  return fail(argv[2]);
}
