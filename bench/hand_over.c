/*
 * One perf event fd from a server to a client: the least that a broker could do, without any check.
 * hand_over serve SOCKET REQUEST-BYTES REPLY-BYTES PID ATTR: prints "ready", then serves one client after the other
 * hand_over ask SOCKET REQUEST-BYTES REPLY-BYTES: for each count N on standard input, prints N times in nanoseconds
 */
#include "bench.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MAX_BYTES = 65536 };
static char buffer[MAX_BYTES];

static int unix_socket(const char *path, struct sockaddr_un *address) {
  address->sun_family = AF_UNIX;
  snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  return fd;
}

/* Whole messages, with the fd that came along or -1; 0 bytes at the end of the stream. */
static size_t receive(int socket, size_t size, int *fd) {
  *fd = -1;
  for (size_t got = 0; got < size;) {
    union {
      char bytes[CMSG_SPACE(sizeof(int))];
      struct cmsghdr align;
    } control;
    struct iovec vector = {buffer + got, size - got};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (bytes < 0) die("recvmsg");
    if (bytes == 0) return 0;
    got += (size_t)bytes;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(c), sizeof *fd);
  }
  return size;
}

static void send_with_fd(int socket, size_t size, int fd) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec vector = {buffer, size};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != (ssize_t)size) die("sendmsg");
}

static void serve(const char *path, size_t request, size_t reply, int pid, struct perf_event_attr attr) {
  struct sockaddr_un address = {0};
  const int listener = unix_socket(path, &address);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || chmod(path, 0666) || listen(listener, 8)) die(path);
  puts("ready");
  fflush(stdout);
  for (;;) {
    const int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) die("accept");
    int none;
    while (receive(client, request, &none) > 0) {
      const int event = open_event(&attr, pid, -1);
      if (event < 0) die("perf_event_open");
      send_with_fd(client, reply, event);
      close(event);
    }
    close(client);
  }
}

static void ask(const char *path, size_t request, size_t reply) {
  struct sockaddr_un address = {0};
  const int socket = unix_socket(path, &address);
  if (connect(socket, (struct sockaddr *)&address, sizeof address)) die(path);
  for (unsigned count; (count = next_count()) > 0;) {
    uint64_t *times = calloc(count, sizeof *times);
    if (times == NULL) die("calloc");
    for (unsigned i = 0; i < count; i++) {
      const uint64_t before = now_ns();
      if (send(socket, buffer, request, MSG_NOSIGNAL) != (ssize_t)request) die("send");
      int event;
      if (receive(socket, reply, &event) == 0 || event < 0) die("no fd came");
      times[i] = now_ns() - before;
      close(event);
    }
    print_times(times, count);
    free(times);
  }
}

int main(int argc, char **argv) {
  const int serves = argc == 7 && strcmp(argv[1], "serve") == 0;
  if (!serves && !(argc == 5 && strcmp(argv[1], "ask") == 0)) {
    fprintf(stderr, "usage: hand_over serve SOCKET REQUEST-BYTES REPLY-BYTES PID ATTR | ask SOCKET REQUEST-BYTES REPLY-BYTES\n");
    return 2;
  }
  const size_t request = strtoul(argv[3], NULL, 10), reply = strtoul(argv[4], NULL, 10);
  if (request == 0 || request > MAX_BYTES || reply == 0 || reply > MAX_BYTES) return 2;
  if (serves) serve(argv[2], request, reply, atoi(argv[5]), parse_attr(argv[6]));
  ask(argv[2], request, reply);
  return 0;
}
