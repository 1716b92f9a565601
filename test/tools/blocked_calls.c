// A thread in each system call that can wait, all of them forever or for a known time. Prints "ready", and once a line has
// come on standard input lets all of them end, and prints "NAME RESULT ERRNO MILLISECONDS" for each.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pipe_fds[2], full_pipe[2], wake[2], stream[2], timed[2], timed_read[2], full[2], plain_listener, timed_listener;
static int semaphore, timed_semaphore, messages, event_fd, inotify_fd, lock_fd, signal_fd;
static atomic_int word, waiting;
static pid_t child;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int condition_met;
static char file_path[32];
static const struct timespec duration = {1, 500000000}, long_time = {60, 0};

static long byte_from(int fd) {
  char byte;
  return read(fd, &byte, 1);
}
static long call_read(void) { return byte_from(pipe_fds[0]); }
static long call_read_timed(void) { return byte_from(timed_read[0]); }
static long call_eventfd(void) {
  uint64_t value;
  return read(event_fd, &value, sizeof value);
}
static long call_signalfd(void) {
  struct signalfd_siginfo info;
  return read(signal_fd, &info, sizeof info);
}
static long call_inotify(void) {
  char buffer[512];
  return read(inotify_fd, buffer, sizeof buffer);
}
static long call_timerfd(void) {
  const int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  const struct itimerspec spec = {{0, 0}, duration};
  uint64_t value;
  timerfd_settime(fd, 0, &spec, NULL);
  return read(fd, &value, sizeof value);
}
static long call_write(void) { return write(full_pipe[1], "x", 1); }
static long call_futex(void) { return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); }
static long call_futex_timed(void) {
  static int never;
  const long result = syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &duration, NULL, 0);
  return result < 0 && errno == ETIMEDOUT ? 0 : result;
}
static long call_condition(void) {
  pthread_mutex_lock(&mutex);
  while (!condition_met) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  return 0;
}
static long call_nanosleep(void) { return nanosleep(&duration, NULL); }
static long call_clock_nanosleep(void) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += 1;
  until.tv_nsec += 500000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  return errno == 0 ? 0 : -1;
}
static long call_poll(void) { return poll(NULL, 0, 1500); }
static long call_poll_fd(void) {
  struct pollfd fd = {wake[0], POLLIN, 0};
  return poll(&fd, 1, -1);
}
static long call_ppoll(void) {
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, SIGUSR1);
  sigaddset(&own, SIGUSR2);
  return ppoll(NULL, 0, &duration, &own);
}
static long call_select(void) {
  struct timeval timeout = {1, 500000};
  return select(0, NULL, NULL, NULL, &timeout);
}
static long call_pselect(void) {
  fd_set set;
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, SIGUSR1);
  sigaddset(&own, SIGUSR2);
  FD_ZERO(&set);
  FD_SET(wake[0], &set);
  return pselect(wake[0] + 1, &set, NULL, NULL, NULL, &own);
}
static int epoll_on_wake(void) {
  const int fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(fd, EPOLL_CTL_ADD, wake[0], &event);
  return fd;
}
static long call_epoll_wait(void) {
  struct epoll_event event;
  return epoll_wait(epoll_on_wake(), &event, 1, 60000);
}
static long call_epoll_pwait(void) {
  struct epoll_event event;
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, SIGUSR1);
  sigaddset(&own, SIGUSR2);
  return epoll_pwait(epoll_on_wake(), &event, 1, -1, &own);
}
static long call_semop(void) {
  struct sembuf down = {0, -1, 0};
  return semop(semaphore, &down, 1);
}
static long call_semtimedop(void) {
  struct sembuf down = {0, -1, 0};
  return semtimedop(timed_semaphore, &down, 1, &long_time);
}
static long call_msgrcv(void) {
  struct { long type; char text[8]; } message;
  return msgrcv(messages, &message, sizeof message.text, 0, 0);
}
static long call_sigtimedwait(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  return sigtimedwait(&set, NULL, &long_time) == SIGUSR2 ? 0 : -1;
}
static long call_recv(void) {
  char byte;
  return recv(stream[0], &byte, 1, 0);
}
static long call_recv_timed(void) {
  char byte;
  return recv(timed[0], &byte, 1, 0);
}
static long call_recvmsg_timed(void) {
  char byte;
  struct iovec vector = {&byte, 1};
  struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
  return recvmsg(timed[0], &header, 0);
}
static long call_send_timed(void) { return send(full[0], "x", 1, 0); }
static long call_accept(void) { return accept(plain_listener, NULL, NULL) >= 0 ? 0 : -1; }
static long call_accept_timed(void) { return accept(timed_listener, NULL, NULL) >= 0 ? 0 : -1; }
static long call_waitid(void) {
  siginfo_t info;
  return waitid(P_PID, (id_t)child, &info, WEXITED);
}
static long call_lock(void) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  const int fd = open(file_path, O_RDWR);
  return fcntl(fd, F_OFD_SETLKW, &lock);
}
static long call_io_getevents(void) {
  aio_context_t context = 0;
  struct io_event event;
  struct timespec timeout = duration;
  if (syscall(SYS_io_setup, 1, &context) != 0) return 0;  // not in every kernel
  return syscall(SYS_io_getevents, context, 1, 1, &event, &timeout);
}

static struct call {
  const char *name;
  long (*make)(void);
  long result;
  int error;
  double milliseconds;
} calls[] = {
#define CALL(name) {#name, call_##name, 0, 0, 0}
    CALL(read), CALL(read_timed), CALL(eventfd), CALL(signalfd), CALL(inotify), CALL(timerfd), CALL(write), CALL(futex),
    CALL(futex_timed), CALL(condition), CALL(nanosleep), CALL(clock_nanosleep), CALL(poll), CALL(poll_fd), CALL(ppoll),
    CALL(select), CALL(pselect), CALL(epoll_wait), CALL(epoll_pwait), CALL(semop), CALL(semtimedop), CALL(msgrcv),
    CALL(sigtimedwait), CALL(recv), CALL(recv_timed), CALL(recvmsg_timed), CALL(send_timed), CALL(accept),
    CALL(accept_timed), CALL(waitid), CALL(lock), CALL(io_getevents)};
enum { COUNT = sizeof calls / sizeof calls[0] };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void *run(void *argument) {
  struct call *call = argument;
  waiting++;
  const double begin = now();
  errno = 0;
  call->result = call->make();
  call->error = call->result < 0 ? errno : 0;
  call->milliseconds = now() - begin;
  return NULL;
}

static void set_timeout(int fd, int option) {
  const struct timeval timeout = {60, 0};
  setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof timeout);
}

static int listener(struct sockaddr_in *address) {
  socklen_t length = sizeof *address;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  bind(fd, (struct sockaddr *)address, sizeof *address);
  listen(fd, 1);
  getsockname(fd, (struct sockaddr *)address, &length);
  return fd;
}

static void fill(int fd) {
  static char block[4096];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  while (write(fd, block, sizeof block) > 0) continue;
  while (write(fd, block, 1) > 0) continue;
  fcntl(fd, F_SETFL, 0);
}

static void empty(int fd) {
  static char block[1 << 20];
  if (read(fd, block, sizeof block) < 0) exit(3);
}

int main(void) {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  sigdelset(&blocked, SIGUSR2);
  struct sockaddr_in plain, with_timeout;
  if (pipe(pipe_fds) || pipe(full_pipe) || pipe(wake) || socketpair(AF_UNIX, SOCK_STREAM, 0, stream) ||
      socketpair(AF_UNIX, SOCK_STREAM, 0, timed) || socketpair(AF_UNIX, SOCK_STREAM, 0, timed_read) ||
      socketpair(AF_UNIX, SOCK_STREAM, 0, full)) return 2;
  plain_listener = listener(&plain);
  timed_listener = listener(&with_timeout);
  for (const int *fd = (int[]){timed[0], timed_read[0], timed_listener, -1}; *fd >= 0; fd++) set_timeout(*fd, SO_RCVTIMEO);
  set_timeout(full[0], SO_SNDTIMEO);
  fill(full[0]);
  fill(full_pipe[1]);
  unshare(CLONE_NEWIPC);  // nothing stays behind, however this ends
  semaphore = semget(IPC_PRIVATE, 1, 0600);
  timed_semaphore = semget(IPC_PRIVATE, 1, 0600);
  messages = msgget(IPC_PRIVATE, 0600);
  event_fd = eventfd(0, 0);
  signal_fd = signalfd(-1, &blocked, 0);
  lock_fd = memfd_create("file", 0);
  snprintf(file_path, sizeof file_path, "/proc/self/fd/%d", lock_fd);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  if (fcntl(lock_fd, F_OFD_SETLK, &lock) != 0) return 2;
  inotify_fd = inotify_init();
  inotify_add_watch(inotify_fd, file_path, IN_ATTRIB);
  if ((child = fork()) == 0) {
    close(wake[1]);
    byte_from(wake[0]);
    _exit(0);
  }

  pthread_t threads[COUNT];
  for (int i = 0; i < COUNT; i++) pthread_create(&threads[i], NULL, run, &calls[i]);
  while (waiting < COUNT) usleep(1000);
  usleep(100000);
  puts("ready");
  fflush(stdout);
  if (byte_from(STDIN_FILENO) < 0) return 4;

  struct sembuf up = {0, 1, 0};
  struct { long type; char text[8]; } message = {1, "x"};
  const uint64_t one = 1;
  const int clients[2] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0)};
  if (write(pipe_fds[1], "x", 1) < 0 || write(timed_read[1], "x", 1) < 0 || write(event_fd, &one, sizeof one) < 0 ||
      write(stream[1], "x", 1) < 0 || write(timed[1], "xx", 2) < 0 || semop(semaphore, &up, 1) ||
      semop(timed_semaphore, &up, 1) || msgsnd(messages, &message, sizeof message.text, 0) ||
      connect(clients[0], (struct sockaddr *)&plain, sizeof plain) ||
      connect(clients[1], (struct sockaddr *)&with_timeout, sizeof with_timeout)) return 5;
  empty(full[1]);
  empty(full_pipe[0]);
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR2);
  fchmod(lock_fd, 0640);
  lock.l_type = F_UNLCK;
  fcntl(lock_fd, F_OFD_SETLK, &lock);
  word = 1;
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  pthread_mutex_lock(&mutex);
  condition_met = 1;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  close(wake[1]);
  for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < COUNT; i++)
    printf("%s %ld %d %.0f\n", calls[i].name, calls[i].result, calls[i].error, calls[i].milliseconds);
  return 0;
}
